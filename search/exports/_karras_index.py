"""Levels written as positions in a Karras grid that counts downwards, as OpenAI's code and diffusers take them.

sigma(k) = (sigma_max^(1/rho) + k/(n-1) (sigma_min^(1/rho) - sigma_max^(1/rho)))^rho, k = 0..n-1.
Karras et al. 2022, Eq. 5 (arXiv:2206.00364).
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search.errors import InputError

# OpenAI's code has it fixed, diffusers by default. It decides here only how finely levels can be written.
RHO = 7.0

# The numbers stay readable, the grid takes 8 MB, and a level is at most `KarrasIndex.worst_error` off.
GRID_POINTS = 2**20
BOUNDS: Mapping[str, tuple[float, float]] = {"grid_points": (2, 2**24)}


@dataclass(frozen=True)
class KarrasIndex:
    """The grid of num_points levels from sigma_max down to sigma_min."""

    sigma_min: float
    sigma_max: float
    num_points: int

    def sigma(self, k: int) -> float:
        """The level at index k."""
        return float((self._high + k / (self.num_points - 1) * (self._low - self._high)) ** RHO)

    def indices(self, levels: Sequence[float]) -> list[int]:
        """The nearest index to each level, increasing. InputError where two levels fall on one."""
        found = [
            round((level ** (1 / RHO) - self._high) / (self._low - self._high) * (self.num_points - 1))
            for level in levels
        ]
        if any(before >= after for before, after in itertools.pairwise([*found, self.num_points - 1])):
            raise InputError(
                f"a grid of {self.num_points} points cannot tell the levels {', '.join(f'{s:g}' for s in levels)} "
                f"and sigma_min={self.sigma_min:g} apart. Raise --grid-points (default {GRID_POINTS})"
            )
        return found

    @property
    def worst_error(self) -> float:
        """How far a level may be off at most, relative: half a point, next to sigma_min.

        With 2^20 points 1.2e-5 for .002 to 80, 2.7e-5 for .002 to 1e4.
        """
        return RHO / 2 * (self._high / self._low - 1) / (self.num_points - 1)

    @property
    def _low(self) -> float:
        return float(self.sigma_min ** (1 / RHO))

    @property
    def _high(self) -> float:
        return float(self.sigma_max ** (1 / RHO))
