from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution

from spaces import special
from spaces.arrays import Array
from spaces.noise_distribution import SigmaLaw


@dataclass(frozen=True, kw_only=True)
class LogNormal(SigmaLaw):
    """ln sigma ~ N(p_mean, p_std**2). iCT, Song & Dhariwal 2023 (arXiv:2310.14189).

    The defaults are iCT's. sCM (Lu & Song 2024, arXiv:2410.11081) takes (-1.0, 1.4), the diffusion
    models of EDM (arXiv:2206.00364) take (-1.2, 1.2).
    """

    p_mean: float = -1.1
    p_std: float = 2.0

    TENSORS: ClassVar[bool] = False
    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {"p_mean": (-100.0, 100.0), "p_std": (1e-3, 1e3)}
    SPACE: ClassVar[Mapping[str, BaseDistribution]] = {
        "p_mean": FloatDistribution(-3.0, 1.0),
        "p_std": FloatDistribution(0.5, 3.0),
    }

    def _z(self, sigma: Array) -> Array:
        return (np.log(sigma) - self.p_mean) / self.p_std

    def cdf(self, sigma: Array) -> Array:
        return special.ndtr(self._z(sigma))

    def log_cdf(self, sigma: Array) -> Array:
        return special.log_ndtr(self._z(sigma))

    def log_sf(self, sigma: Array) -> Array:
        return special.log_ndtr(-self._z(sigma))
