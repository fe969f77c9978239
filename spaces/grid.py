"""The noise levels of a stage. Axis N: levels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from optuna.distributions import BaseDistribution, FloatDistribution
from torch import Tensor

from spaces.choice import Choice


@dataclass(frozen=True, kw_only=True)
class KarrasGrid(Choice):
    """Levels sigma_i with sigma_i**(1/rho) evenly spaced. EDM, Karras et al. 2022, Eq. 5 (arXiv:2206.00364).

    In increasing order, as consistency training uses them (EDM counts downwards). A larger rho puts
    more of the levels near sigma_min. By default only rho is searched: the ends belong to the data.
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0

    # Far inside float64: neighbouring levels stay distinct for every number of levels allowed.
    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {
        "sigma_min": (1e-6, 1e6),
        "sigma_max": (1e-6, 1e6),
        "rho": (1.0, 100.0),
    }
    SPACE: ClassVar[Mapping[str, BaseDistribution]] = {"rho": FloatDistribution(2.0, 12.0)}

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 * self.sigma_min <= self.sigma_max:
            raise ValueError(
                "`2 * sigma_min <= sigma_max` must hold, "
                f"but got sigma_min={self.sigma_min}, sigma_max={self.sigma_max}"
            )

    def sigmas(self, num_levels: int) -> Tensor:
        """sigma_N, float64, strictly increasing, exactly sigma_min and sigma_max at its ends."""
        if num_levels < 2:
            raise ValueError(f"`num_levels >= 2` must hold, but got num_levels={num_levels}")
        low, high = self.sigma_min ** (1 / self.rho), self.sigma_max ** (1 / self.rho)
        u_N = torch.arange(num_levels, dtype=torch.float64) / (num_levels - 1)
        sigma_N = (low + u_N * (high - low)) ** self.rho
        sigma_N[0], sigma_N[-1] = self.sigma_min, self.sigma_max  # f(x, sigma_min) = x needs them exact
        return sigma_N

    def describe(self) -> str:
        """`rho=7`, and the ends where they are not the usual ones."""
        return super().describe().removeprefix("grid(").removesuffix(")")
