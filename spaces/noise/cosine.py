from dataclasses import dataclass

from spaces.arrays import Array
from spaces.noise._logsnr import LogSNRLaw, log_sech_cdf


@dataclass(frozen=True, kw_only=True)
class Cosine(LogSNRLaw):
    """Cosine: logSNR with density sech(logSNR/2) / (2 pi). Nichol & Dhariwal 2021 (arXiv:2102.09672).

    That is tan(pi t / 2) = sigma / sigma_data with t uniform, without the paper's small offset and
    clipping. The peak is at logSNR 0, where sigma = sigma_data; sigma_data: see logsnr_laplace. As a law
    over logSNR, and as the baseline of the families beside it: Hang et al. 2024 (arXiv:2407.03297).
    """

    @property
    def peak(self) -> float:
        return 0.0

    @property
    def width(self) -> float:
        return 2.0

    def log_standard_cdf(self, z: Array) -> Array:
        return log_sech_cdf(z)
