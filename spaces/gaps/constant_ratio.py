from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from optuna.distributions import BaseDistribution, FloatDistribution

from spaces.arrays import Array
from spaces.gap import Gap
from spaces.gaps.ect import MAX_SHRINKING


@dataclass(frozen=True, kw_only=True)
class ConstantRatio(Gap):
    """The same share of every t. The mapping `const` of ECT's code, Geng et al. 2024 (arXiv:2406.14548).

        r = max(sigma_min, t (1 - 1 / q))

    Read in locuslab/ect (`t_to_r_const`), where its recipes have the other mapping. The default q is the 4096 of CMT
    (arXiv:2509.24526), whose README says "1/4096 throughout" while its code, read too, has ECT's n(t)/4096.

    Departs: the smallest r is sigma_min, not 0.
    """

    q: float = 4096.0

    RULE: ClassVar[str] = "max(sigma_min, t (1 - 1 / q))"
    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {"q": (1.1, MAX_SHRINKING)}
    SPACE: ClassVar[Mapping[str, BaseDistribution]] = {"q": FloatDistribution(4.0, 4096.0, log=True)}

    def teacher(self, t_M: Array, sigma_min: float, stage: int) -> Array:
        return (t_M * (1 - 1 / self.q)).clip(min=sigma_min)
