from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from spaces.curriculum import MAX_INTERVALS, Curriculum, Steps, sum_of_levels, values_of


@dataclass(frozen=True, kw_only=True)
class CTSqrt(Curriculum):
    """N rises with the square root of the step, s0 -> s1 + 1. CT, Song et al. 2023 (arXiv:2303.01469).

        N(k) = ceil(((k/K) ((s1 + 1)**power - s0**power) + s0**power)**(1/power) - 1) + 1

    power 2 is the published square root, as in openai/consistency_models ("progressive", its only rising
    mode). power 1 rises linearly: ours, to compare. In levels, so it starts at N = s0. Nearly every N
    between the ends occurs: s1 - s0 stages.
    """

    s0: int = 2
    s1: int = 150
    power: float = 2.0

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {
        "s0": (2, MAX_INTERVALS),
        "s1": (2, MAX_INTERVALS),
        "power": (0.1, 10.0),
    }
    SPACE: ClassVar[Mapping[str, BaseDistribution]] = {
        "s0": IntDistribution(2, 20, log=True),
        "s1": IntDistribution(40, 320, log=True),
        "power": CategoricalDistribution([1.0, 2.0]),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.s0 <= self.s1:
            raise ValueError(f"`s0 <= s1` must hold, but got s0={self.s0}, s1={self.s1}")

    @property
    def most_levels(self) -> int:
        return self.s1 + 1

    @property
    def most_stages(self) -> int:
        return self.s1 + 2 - self.s0

    def most_values(self, total_steps: int) -> int:
        each_once = values_of(self.most_stages, sum_of_levels(self.s0, self.most_levels))
        return min(each_once, super().most_values(total_steps))

    def levels_at(self, step_K: Steps, total_steps: int) -> Steps:
        low, high = self.s0**self.power, (self.s1 + 1) ** self.power
        root_K = (step_K / total_steps * (high - low) + low) ** (1 / self.power)
        # Rounding of the root must not count as a level: ceil of 9.000000000000002 - 1 would be 9, not 8.
        return np.ceil(np.round(root_K, 9) - 1).astype(np.int64) + 1
