from dataclasses import dataclass

from spaces.lazy_torch import Tensor
from spaces.noise_distribution import IndexLaw


@dataclass(frozen=True, kw_only=True)
class Uniform(IndexLaw):
    """Every interval alike, p = 1/M. CT, Song et al. 2023, Algorithm 3 (arXiv:2303.01469)."""

    def cdf(self, u: Tensor) -> Tensor:
        return u
