import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution

from spaces.arrays import Array
from spaces.noise._logsnr import LogSNRLaw


@dataclass(frozen=True, kw_only=True)
class LogSNRLaplace(LogSNRLaw):
    """logSNR = 2 ln(sigma_data / sigma) ~ Laplace(mu, b). Hang et al. 2024 (arXiv:2407.03297).

    mu is the peak on the logSNR axis, b its width there. It is not a law on ln sigma: seen from
    ln sigma the width is b/2 and the sign of mu is flipped (some ports have this wrong).

    sigma_data says what "signal" is. Convention B, the default: the standard deviation of the training
    images, .5 for images in [-1, 1]. Convention A, the paper's: 1, for data of unit variance. Published
    mu and b are those of A; moving them to B keeps the peak where signal and noise balance.

    The paper is about diffusion with many sampling steps; its best values need not suit one-step models.
    """

    mu: float = 0.0
    b: float = 0.5

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {
        **LogSNRLaw.BOUNDS,
        "mu": (-100.0, 100.0),
        "b": (1e-3, 1e3),
    }
    SPACE: ClassVar[Mapping[str, BaseDistribution]] = {
        "mu": FloatDistribution(-6.0, 4.0),
        "b": FloatDistribution(0.5, 6.0, log=True),
    }

    @property
    def peak(self) -> float:
        return self.mu

    @property
    def width(self) -> float:
        return self.b

    def log_standard_cdf(self, z: Array) -> Array:
        half_tail = np.exp(-np.abs(z)) / 2
        return np.where(z < 0, z - math.log(2), np.log1p(-half_tail))
