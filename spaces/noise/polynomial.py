from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from optuna.distributions import BaseDistribution, FloatDistribution

from spaces.arrays import Array
from spaces.noise_distribution import IndexLaw


@dataclass(frozen=True, kw_only=True)
class Polynomial(IndexLaw):
    """Index u**degree, u uniform: Beta(1/degree, 1). Gokmen et al. 2024 (arXiv:2404.06353).

    degree 1 is uniform; a higher degree has more low noise and still keeps some at the very top,
    which is what the paper's title asks for. The paper's best model has degree 4 (abstract). Departs
    from its public code: no jitter on the index, which is polynomial_jittered.
    """

    degree: float = 4.0

    TENSORS: ClassVar[bool] = False
    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {"degree": (0.01, 100.0)}
    SPACE: ClassVar[Mapping[str, BaseDistribution]] = {"degree": FloatDistribution(1.0, 6.0)}

    def cdf(self, u: Array) -> Array:
        return u ** (1 / self.degree)
