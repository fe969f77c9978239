from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution

from spaces.arrays import Array
from spaces.grid import Grid


@dataclass(frozen=True, kw_only=True)
class KarrasGrid(Grid):
    """Levels sigma_i with sigma_i**(1/rho) evenly spaced. EDM, Karras et al. 2022, Eq. 5 (arXiv:2206.00364).

    In increasing order from sigma_min to sigma_max, as consistency training uses them (EDM counts downwards). A
    larger rho puts more of the levels near sigma_min. By default only rho is searched: the ends belong to the data.
    """

    rho: float = 7.0

    # Far inside float64: neighbouring levels stay distinct for every number of levels allowed.
    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {**Grid.BOUNDS, "rho": (1.0, 100.0)}
    SPACE: ClassVar[Mapping[str, BaseDistribution]] = {"rho": FloatDistribution(2.0, 12.0)}

    def levels_of(self, num_levels: int) -> Array:
        low, high = self.sigma_min ** (1 / self.rho), self.sigma_max ** (1 / self.rho)
        u_N = np.arange(num_levels) / (num_levels - 1)
        return (low + u_N * (high - low)) ** self.rho

    def describe(self) -> str:
        """`rho=7`, and the ends where they are not the usual ones: the grid that need not be named."""
        return super().describe().removeprefix("karras(").removesuffix(")")
