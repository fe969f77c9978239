from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution

from spaces import special
from spaces.arrays import Array
from spaces.noise_distribution import IndexLaw


@dataclass(frozen=True, kw_only=True)
class Beta(IndexLaw):
    """Normalised index ~ Beta(a, b). After HN-iCT, Gokmen et al. 2024 (arXiv:2411.12181).

    b > 1 thins out the high noise, a > 1 the low. Beta(1, 1) is uniform, Beta(1/degree, 1) polynomial.
    HN-iCT's (1.5, 5) are the defaults; what makes it high-noise is that it stretches each batch to the
    whole grid, which is beta_minmax. Ranges of the search are ours.
    """

    a: float = 1.5
    b: float = 5.0

    TENSORS: ClassVar[bool] = False
    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {"a": (0.05, 100.0), "b": (0.05, 100.0)}
    SPACE: ClassVar[Mapping[str, BaseDistribution]] = {
        "a": FloatDistribution(0.2, 5.0, log=True),
        "b": FloatDistribution(0.5, 8.0, log=True),
    }

    def cdf(self, u: Array) -> Array:
        return special.betainc(self.a, self.b, u)

    def log_sf(self, u: Array) -> Array:
        return np.log(special.betaincc(self.a, self.b, u))
