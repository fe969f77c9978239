from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from optuna.distributions import BaseDistribution

from spaces.arrays import Array
from spaces.curriculum import MAX_INTERVALS
from spaces.grid import Grid
from spaces.grids.karras import KarrasGrid


@dataclass(frozen=True, kw_only=True)
class KarrasMasterGrid(Grid):
    """Subsets of one Karras grid, "predefined Karras noises". After Gokmen et al. 2024 (arXiv:2404.06353).

        sigma_i = master[round(i (levels - 1) / (N - 1))],   i = 0..N-1, halves rounded up

    No new noise level appears when the curriculum changes N. sigma_min, sigma_max, rho: of the master, as of
    karras. levels: of the master, the largest N that it can give; a curriculum that needs more is refused. The
    default is enough for the default range of every curriculum. Where (levels - 1) / (N - 1) is whole, as then in
    each stage of iCT's doubling, this is the regenerated grid itself.

    That the paper predefines its levels is in its abstract; the subset by rounding is our reading, the
    author's public code regenerates them.
    """

    rho: float = 7.0
    levels: int = 2561

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {
        **KarrasGrid.BOUNDS,
        "levels": (2, MAX_INTERVALS + 1),
    }
    SPACE: ClassVar[Mapping[str, BaseDistribution]] = KarrasGrid.SPACE

    @property
    def most_levels(self) -> int:
        return self.levels

    def levels_of(self, num_levels: int) -> Array:
        karras = KarrasGrid(sigma_min=self.sigma_min, sigma_max=self.sigma_max, rho=self.rho)
        gaps = num_levels - 1
        # In integers, and halves always up: with at least one master level to a gap no two are the same.
        index_N = (2 * np.arange(num_levels) * (self.levels - 1) + gaps) // (2 * gaps)
        return karras.noise_levels(self.levels)[index_N]
