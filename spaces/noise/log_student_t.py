from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution

from spaces.arrays import Array
from spaces.noise_distribution import SigmaLaw


@dataclass(frozen=True, kw_only=True)
class LogStudentT(SigmaLaw):
    """ln sigma = mu + s T, T of Student's t with nu degrees of freedom, from t_min on. TCM, arXiv:2410.14895.

    Truncated to [t_min, sigma_max] by its CDF: P(sigma <= x) = (F(x) - F(t_min))/(1 - F(t_min)). For small nu the
    tails are so heavy that ln sigma is nearly uniform outside a peak at mu; for large nu it is the lognormal. TCM's
    second stage has mu 0, s .2, nu .01 and t_min 1: read in NVlabs/FastGen (`log_t`), where its ends are t_min and
    t_max; nothing of the paper's text was read. Without t_min it begins at the grid's sigma_min.
    """

    mu: float = -1.1
    s: float = 2.0
    nu: float = 2.0
    t_min: float | None = None

    SEARCHED: ClassVar[bool] = False
    TENSORS: ClassVar[bool] = False
    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {
        "mu": (-100.0, 100.0),
        "s": (1e-3, 1e3),
        "nu": (1e-2, 1e3),
        "t_min": (1e-6, 1e6),
    }
    SPACE: ClassVar[Mapping[str, BaseDistribution]] = {
        "mu": FloatDistribution(-3.0, 1.0),
        "s": FloatDistribution(0.2, 3.0, log=True),
        "nu": FloatDistribution(0.1, 10.0, log=True),
    }

    def _z(self, sigma: Array | float) -> Array:
        return np.asarray((np.log(sigma) - self.mu) / self.s)

    def _below(self, z: Array) -> Array:
        """P(T <= z)."""
        from scipy.special import stdtr  # only where the law is used: see spaces.special

        return np.asarray(stdtr(self.nu, z))

    @np.errstate(divide="ignore")  # ln 0 below t_min
    def cdf(self, sigma: Array) -> Array:
        return np.exp(self.log_cdf(sigma))

    def log_cdf(self, sigma: Array) -> Array:
        below = self._below(self._z(sigma))
        if self.t_min is None:
            return np.log(below)
        least = self._below(self._z(self.t_min))
        return np.log((below - least).clip(min=0)) - np.log1p(-least)

    def log_sf(self, sigma: Array) -> Array:
        # Symmetric: the upper tail is the lower one of -z.
        above = self._below(-self._z(sigma))
        if self.t_min is None:
            return np.log(above)
        most = self._below(-self._z(self.t_min))
        return np.log(np.minimum(above / most, 1.0))
