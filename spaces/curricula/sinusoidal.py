import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from spaces.curriculum import MAX_INTERVALS, Curriculum, Steps, sum_of_levels, values_of


@dataclass(frozen=True, kw_only=True)
class Sinusoidal(Curriculum):
    """N follows humps of a sine from s0 to s1, with a period. After Gokmen et al. 2024 (arXiv:2404.06353).

        phi  = (2 pi / period) (k/K)**exponent,   rounded down to a multiple of delta (0: not rounded)
        N(k) = min(ceil(s0 + amplitude |sin phi|**power) + offset, s1 + offset)

    period: as a fraction of the run; 4 rises to the end, 2 goes up and down once, 1 twice.
    amplitude: s1 - s0 unless given. offset: 1 counts s0 and s1 in intervals, 0 in levels.

    Our generalisation of two forms in the author's code, both reproduced exactly. Half sine (2404.06353):
    period 2, exponent 1.5, delta .1, offset 0. Quarter sine (HN-iCT, arXiv:2411.12181): period 4,
    exponent 1, delta 1/6, amplitude s1. The papers' own formulas are not verified.
    """

    s0: int = 20
    s1: int = 250
    period: float = 2.0
    exponent: float = 1.0
    delta: float = 0.1
    amplitude: int | None = None
    power: float = 1.0
    offset: int = 1

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {
        "s0": (1, MAX_INTERVALS),
        "s1": (1, MAX_INTERVALS),
        "period": (0.01, 100.0),
        "exponent": (0.01, 100.0),
        "delta": (0.0, 2 * math.pi),  # and at least _LEAST_DELTA where it is not 0
        "amplitude": (0, MAX_INTERVALS),
        "power": (0.01, 100.0),
        "offset": (0, 1),
    }
    SPACE: ClassVar[Mapping[str, BaseDistribution]] = {
        "s0": IntDistribution(5, 40, log=True),
        "s1": IntDistribution(80, 640, log=True),
        "period": FloatDistribution(0.5, 4.0, log=True),
        "exponent": FloatDistribution(0.75, 2.0),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.s0 <= self.s1:
            raise ValueError(f"`s0 <= s1` must hold, but got s0={self.s0}, s1={self.s1}")
        if 0 < self.delta < _LEAST_DELTA:
            raise ValueError(
                f"`delta` must be 0 or at least {_LEAST_DELTA:g}, but got delta={self.delta}. 0: not rounded"
            )
        if not self.s0 + self.offset >= 2:
            raise ValueError(
                f"`s0 + offset >= 2` levels must hold, but got s0={self.s0}, offset={self.offset}"
            )

    @property
    def most_levels(self) -> int:
        return min(self.s0 + self._height, self.s1) + self.offset

    @property
    def most_stages(self) -> int:
        levels = self._quarters * (self.most_levels + 1 - self.s0 - self.offset)
        return (
            min(levels, 1 + int(2 * math.pi / self.period / self.delta * (1 + _ROUNDING)))
            if self.delta
            else levels
        )

    def most_values(self, total_steps: int) -> int:
        each_once = sum_of_levels(self.s0 + self.offset, self.most_levels)
        levels = values_of(self.most_stages, self._quarters * each_once)
        return min(levels, super().most_values(total_steps))

    @property
    def _height(self) -> int:
        return self.s1 - self.s0 if self.amplitude is None else self.amplitude

    @property
    def _quarters(self) -> int:
        """Parts of the run in which N only rises or only falls."""
        return math.ceil(4 / self.period)

    def levels_at(self, step_K: Steps, total_steps: int) -> Steps:
        phi_K = 2 * math.pi / self.period * (step_K / total_steps) ** self.exponent
        if self.delta > 0:
            phi_K = self.delta * np.floor(phi_K / self.delta * (1 + _ROUNDING))
        sine_K = np.abs(np.sin(phi_K))
        # At a multiple of pi the sine is 0, not the rounding of phi: 2e-16 to the power .01 is .7.
        sine_K[sine_K <= _ROUNDING * phi_K] = 0
        # Nor does rounding count as a level: sin(5 pi / 6) is a little more than one half.
        level_K = np.ceil(np.round(self.s0 + self._height * sine_K**self.power, 9))
        return np.minimum(level_K, self.s1).astype(np.int64) + self.offset


_ROUNDING = 4 * 2**-52  # relative, of phi and of its multiple of delta
_LEAST_DELTA = 1e-6  # finer rounding does not show in 10 million steps; next to 0 phi / delta is beyond int64
