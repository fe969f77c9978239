from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Literal

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from spaces.arrays import Array
from spaces.curriculum import MAX_INTERVALS, Curriculum, Steps


@dataclass(frozen=True, kw_only=True)
class DifficultyClusters(Curriculum):
    """Clusters of levels join in, noisiest first: from easy to hard. Kim et al. 2024 (arXiv:2403.10348).

    The schedule's distribution is cut into num_clusters of equal mass. Stage n = 1, 2, ... trains the n
    noisiest (hard_to_easy: the n least noisy), the others not at all; the stages share `fraction` of the
    budget equally, then all is trained. An interval that a cut runs through is trained with the share of
    its mass inside.

    Departs: the paper goes on when the loss has not improved for a number of steps; here the stages are
    fixed, so that trials stay comparable and resumable (ours). Clusters, quantiles of the proposal for
    EDM, and 20 of them: read in third-party code and recalled. In consistency training the boundary
    condition spreads upwards from low noise, so that noisiest first is a hypothesis: try both orders.

    levels: N, constant. A curriculum of levels inside this one would tie two questions together.
    """

    levels: int = 20
    num_clusters: int = 20
    fraction: float = 0.5
    order: Literal["easy_to_hard", "hard_to_easy"] = "easy_to_hard"

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {
        "levels": (2, MAX_INTERVALS + 1),
        "num_clusters": (2, 100),
        "fraction": (0.01, 1.0),
    }
    SPACE: ClassVar[Mapping[str, BaseDistribution]] = {
        "levels": IntDistribution(10, 640, log=True),
        "num_clusters": IntDistribution(3, 20, log=True),
        "fraction": FloatDistribution(0.1, 0.8),
        "order": CategoricalDistribution(["easy_to_hard", "hard_to_easy"]),
    }

    @property
    def most_levels(self) -> int:
        return self.levels

    @property
    def most_stages(self) -> int:
        return self.num_clusters

    def levels_at(self, step_K: Steps, total_steps: int) -> Steps:
        return np.full_like(step_K, self.levels)

    def phases_at(self, step_K: Steps, total_steps: int) -> Steps:
        # floor(k num_clusters / (fraction K)) in integers: in floats it is one too low where the quotient is whole.
        # The fraction is the decimal number that its user wrote.
        share = Fraction(str(self.fraction)) * total_steps
        factor, divisor = self.num_clusters * share.denominator, share.numerator
        starts_N = [
            -(-phase * divisor // factor) for phase in range(1, self.num_clusters)
        ]  # ceil, of any size
        return np.searchsorted(np.array(starts_N, dtype=np.int64), step_K, side="right")

    def trained(self, probability_M: Array, phase: int) -> Array:
        if phase == self.num_clusters - 1:
            return probability_M
        easiest_first_M = probability_M[::-1] if self.order == "easy_to_hard" else probability_M
        before_M = easiest_first_M.cumsum() - easiest_first_M
        joined = (phase + 1) / self.num_clusters
        trained_M = np.minimum(easiest_first_M, (joined - before_M).clip(min=0.0))
        trained_M = trained_M / trained_M.sum()
        return trained_M[::-1].copy() if self.order == "easy_to_hard" else trained_M
