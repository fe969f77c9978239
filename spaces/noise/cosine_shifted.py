from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from optuna.distributions import BaseDistribution, FloatDistribution

from spaces.lazy_torch import Tensor
from spaces.noise._logsnr import LogSNRLaw, log_sech_cdf


@dataclass(frozen=True, kw_only=True)
class CosineShifted(LogSNRLaw):
    """Cosine, moved: logSNR with density sech(logSNR/2 - mu) / (2 pi). Hang et al. 2024 (arXiv:2407.03297).

    The peak is at logSNR 2 mu, not mu. Moving logSNR by a constant is Hoogeboom et al.'s shift for other
    resolutions (simple diffusion, arXiv:2301.11093). sigma_data: see logsnr_laplace.

    That the paper takes mu = 1 is recalled, not verified. About diffusion with many sampling steps.
    """

    mu: float = 1.0

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {**LogSNRLaw.BOUNDS, "mu": (-50.0, 50.0)}
    SPACE: ClassVar[Mapping[str, BaseDistribution]] = {"mu": FloatDistribution(-3.0, 2.0)}

    @property
    def peak(self) -> float:
        return 2 * self.mu

    @property
    def width(self) -> float:
        return 2.0

    def log_standard_cdf(self, z: Tensor) -> Tensor:
        return log_sech_cdf(z)
