from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from optuna.distributions import BaseDistribution, FloatDistribution

from spaces.arrays import Array
from spaces.choice import Remark
from spaces.noise._logsnr import LogSNRLaw, log_sech_cdf


@dataclass(frozen=True, kw_only=True)
class CosineShifted(LogSNRLaw):
    """Cosine, moved: logSNR with density sech(logSNR/2 - mu) / (2 pi). Hang et al. 2024 (arXiv:2407.03297).

    The peak is at logSNR 2 mu: with t uniform, logSNR = 2 mu + 2 ln cot(pi t / 2) has this density. That is Hoogeboom
    et al.'s shift for other resolutions (simple diffusion, arXiv:2301.11093), 2 ln(64/d), with mu = ln(64/d).
    sigma_data: see logsnr_laplace.

    Open: the paper's other formula, logSNR = mu + 2 ln cot(pi t / 2), has its peak at mu. The two are one family, ours
    at half the mu, but disagree about a published mu; mu = 1, which is recalled, would be mu = .5 here by that
    formula. Which of them the paper's results are from is not verified. About diffusion with many sampling steps.
    """

    mu: float = 1.0

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {**LogSNRLaw.BOUNDS, "mu": (-50.0, 50.0)}
    SPACE: ClassVar[Mapping[str, BaseDistribution]] = {"mu": FloatDistribution(-3.0, 2.0)}

    @classmethod
    def remark(cls) -> Remark:
        found = super().remark()
        return Remark(
            found.figures,
            f"{found.text}; open: the paper's other formula has the peak at mu, its published mu is then twice ours",
        )

    @property
    def peak(self) -> float:
        return 2 * self.mu

    @property
    def width(self) -> float:
        return 2.0

    def log_standard_cdf(self, z: Array) -> Array:
        return log_sech_cdf(z)
