"""What the laws over logSNR share: the axis, the meaning of "signal", and their two tails."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from spaces.arrays import Array
from spaces.choice import Remark
from spaces.noise_distribution import SigmaLaw


@dataclass(frozen=True, kw_only=True)
class LogSNRLaw(SigmaLaw):
    """logSNR = 2 ln(sigma_data / sigma) follows a law that is symmetric about its peak.

    sigma_data says what "signal" is. Convention B, the default: the standard deviation of the training
    images, .5 for images in [-1, 1]. Convention A, the paper's: 1, for data of unit variance. Published
    values are those of A; taking them over to B keeps the peak where signal and noise balance.
    """

    sigma_data: float = 0.5

    TENSORS: ClassVar[bool] = False
    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {"sigma_data": (1e-3, 1e3)}

    @property
    @abstractmethod
    def peak(self) -> float:
        """The logSNR of the highest density, which is the median too."""

    @property
    def peak_sigma(self) -> float:
        """The noise level at the peak."""
        return self.sigma_data * math.exp(-self.peak / 2)

    @classmethod
    def remark(cls) -> Remark:
        law = cls()
        text = f"peak at logSNR {law.peak:g}, sigma {law.peak_sigma:.3g}, at the defaults"
        return Remark({"peak": {"logsnr": law.peak, "sigma": law.peak_sigma}}, text)

    @property
    @abstractmethod
    def width(self) -> float:
        """What `log_standard_cdf` takes as one unit of logSNR."""

    @abstractmethod
    def log_standard_cdf(self, z: Array) -> Array:
        """ln P(Z <= z), elementwise, precise for z < 0; Z = (logSNR - peak) / width, symmetric about 0."""

    def _z(self, sigma: Array) -> Array:
        """How far sigma lies above the peak, in widths: falls as logSNR rises."""
        logsnr = 2 * (math.log(self.sigma_data) - np.log(sigma))
        return (self.peak - logsnr) / self.width

    def cdf(self, sigma: Array) -> Array:
        return np.exp(self.log_cdf(sigma))

    def log_cdf(self, sigma: Array) -> Array:
        return self.log_standard_cdf(self._z(sigma))

    def log_sf(self, sigma: Array) -> Array:
        return self.log_standard_cdf(-self._z(sigma))


def log_sech_cdf(z: Array) -> Array:
    """ln((2/pi) arctan(e^z)): the law with density sech(z)/pi, the shape of the cosine schedules."""
    tail = math.log(2 / math.pi) + np.where(z < -18, z, np.log(np.arctan(np.exp(z.clip(-18, 0)))))
    return np.where(z < 0, tail, np.log1p(-np.arctan(np.exp(-np.abs(z))) * (2 / math.pi)))
