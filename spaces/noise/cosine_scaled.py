from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from optuna.distributions import BaseDistribution, FloatDistribution

from spaces.arrays import Array
from spaces.noise._logsnr import LogSNRLaw, log_sech_cdf


@dataclass(frozen=True, kw_only=True)
class CosineScaled(LogSNRLaw):
    """Cosine, narrowed: logSNR with density s sech(s logSNR/2) / (2 pi). Hang et al. 2024 (arXiv:2407.03297).

    s > 1 draws the mass together at the peak, which stays at logSNR 0, s < 1 spreads it; 1 is cosine.
    sigma_data: see logsnr_laplace.

    That the paper takes s = 1.3 is recalled, not verified. About diffusion with many sampling steps.
    """

    s: float = 1.3

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {**LogSNRLaw.BOUNDS, "s": (1e-3, 1e3)}
    SPACE: ClassVar[Mapping[str, BaseDistribution]] = {"s": FloatDistribution(0.3, 3.0, log=True)}

    @property
    def peak(self) -> float:
        return 0.0

    @property
    def width(self) -> float:
        return 2 / self.s

    def log_standard_cdf(self, z: Array) -> Array:
        return log_sech_cdf(z)
