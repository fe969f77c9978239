from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from optuna.distributions import BaseDistribution, IntDistribution

from spaces.arrays import Array
from spaces.curriculum import MAX_INTERVALS, Curriculum, Steps


@dataclass(frozen=True, kw_only=True)
class SNRTimestep(Curriculum):
    """From uniform to the schedule's own distribution, p. Xu et al. 2024 (arXiv:2404.07946).

        p(k) = (1 - k/K)/M + (k/K) p

    In 32 equal parts of the budget, each with the mean of its k/K: over the whole run the share of p is that of
    the formula to 1/(2K), which is nothing but where K is a few steps.

    The paper's p is a normal about .3 of the diffusion time: sigma = 1.23 on the VP scale, so here
    lognormal(p_mean=.207, p_std=w) with w from .5 to 2 (ours). That easy, noisy levels are trained less
    and less is in its abstract, the .3 in its reviews; the formula is recalled. For other families it
    is our generalisation.

    levels: N, constant. A curriculum of levels inside this one would tie two questions together.
    """

    levels: int = 20

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {"levels": (2, MAX_INTERVALS + 1)}
    SPACE: ClassVar[Mapping[str, BaseDistribution]] = {"levels": IntDistribution(10, 640, log=True)}

    @property
    def most_levels(self) -> int:
        return self.levels

    @property
    def most_stages(self) -> int:
        return _NUM_PARTS

    def levels_at(self, step_K: Steps, total_steps: int) -> Steps:
        return np.full_like(step_K, self.levels)

    def phases_at(self, step_K: Steps, total_steps: int) -> Steps:
        return np.minimum(step_K * _NUM_PARTS // total_steps, _NUM_PARTS - 1)

    def trained(self, probability_M: Array, phase: int) -> Array:
        progress = (phase + 0.5) / _NUM_PARTS
        return (1 - progress) / len(probability_M) + progress * probability_M


_NUM_PARTS = 32
