from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from optuna.distributions import BaseDistribution, IntDistribution

from spaces.curriculum import MAX_INTERVALS, Curriculum, Steps


@dataclass(frozen=True, kw_only=True)
class Constant(Curriculum):
    """The same number of levels throughout. Gokmen et al. 2024 (arXiv:2404.06353) use 20."""

    levels: int = 20

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {"levels": (2, MAX_INTERVALS + 1)}
    SPACE: ClassVar[Mapping[str, BaseDistribution]] = {"levels": IntDistribution(10, 640, log=True)}

    @property
    def most_levels(self) -> int:
        return self.levels

    @property
    def most_stages(self) -> int:
        return 1

    def levels_at(self, step_K: Steps, total_steps: int) -> Steps:
        return np.full_like(step_K, self.levels)
