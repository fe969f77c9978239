import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution

from spaces.arrays import Array
from spaces.noise._logsnr import LogSNRLaw


@dataclass(frozen=True, kw_only=True)
class LogSNRCauchy(LogSNRLaw):
    """logSNR = 2 ln(sigma_data / sigma) ~ Cauchy(mu, gamma). Hang et al. 2024 (arXiv:2407.03297).

    mu is the peak on the logSNR axis, gamma the half width at half height there. The heavy tails keep
    some training at both ends of the grid, which Laplace gives up. sigma_data: see logsnr_laplace.

    The density is in the paper; its (mu, gamma) = (0, .5) are recalled, not verified. About diffusion
    with many sampling steps.
    """

    mu: float = 0.0
    gamma: float = 0.5

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {
        **LogSNRLaw.BOUNDS,
        "mu": (-100.0, 100.0),
        "gamma": (1e-3, 1e3),
    }
    SPACE: ClassVar[Mapping[str, BaseDistribution]] = {
        "mu": FloatDistribution(-6.0, 4.0),
        "gamma": FloatDistribution(0.3, 4.0, log=True),
    }

    @property
    def peak(self) -> float:
        return self.mu

    @property
    def width(self) -> float:
        return self.gamma

    def log_standard_cdf(self, z: Array) -> Array:
        tail = np.arctan2(1, np.abs(z)) / math.pi  # 1/2 + atan(z)/pi for z < 0, without the difference
        return np.where(z < 0, np.log(tail), np.log1p(-tail))
