from dataclasses import dataclass
from typing import ClassVar

from spaces.arrays import Array
from spaces.noise_distribution import IndexLaw


@dataclass(frozen=True, kw_only=True)
class Uniform(IndexLaw):
    """Every interval alike, p = 1/M. CT, Song et al. 2023, Algorithm 3 (arXiv:2303.01469)."""

    TENSORS: ClassVar[bool] = False

    def cdf(self, u: Array) -> Array:
        return u
