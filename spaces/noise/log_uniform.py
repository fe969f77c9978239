from dataclasses import dataclass

from spaces.lazy_torch import Tensor
from spaces.noise_distribution import NoiseDistribution


@dataclass(frozen=True, kw_only=True)
class LogUniform(NoiseDistribution):
    """ln sigma uniform between the ends of the grid. After NCSN, Song & Ermon 2019 (arXiv:1907.05600).

    NCSN draws its levels, a geometric sequence, uniformly. As likely in .002-.02 as in .2-2: no level is
    preferred, wherever the grid has its levels.
    """

    def interval_probabilities(self, sigma_N: Tensor) -> Tensor:
        width_M = sigma_N.double().log().diff()
        return width_M / width_M.sum()
