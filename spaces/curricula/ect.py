import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from optuna.distributions import BaseDistribution, IntDistribution

from spaces.curriculum import MAX_INTERVALS, Curriculum, Steps


@dataclass(frozen=True, kw_only=True)
class ECT(Curriculum):
    """The gap of teacher and student shrinks q-fold per stage. ECT, Geng et al. 2024 (arXiv:2406.14548).

    There are num_stages stages, equally long. ECT has no grid: it draws t, and in stage s = 0, 1, ... the teacher is
    at (code locuslab/ect)

        r(t) = max(0, t (1 - n(t) / q**(s + 1))),   n(t) = 1 + 8 sigmoid(-t)

    On a grid the teacher is the level below, so a stage here has as many intervals as r takes from
    sigma = 80 down to .002, or to 0: 7, 15, 36, 77, 158, 320, 644, 1292 for q = 2. They grow q-fold, as the
    gap shrinks: 5.06 q**(s + 1) in the limit, 5.06 being the integral of d ln t / n(t).

    Departs: the gaps lie where the grid puts them, Karras's and not n(t)'s; there is no pair with r = 0,
    which makes ECT's first stages half a diffusion model; and ECT starts from a trained diffusion model. The weight
    1/(t - r) is that of its code for CIFAR-10 too (branch main; its branch for ImageNet-64 has 1/t**2 + 4).
    """

    q: float = 2.0
    num_stages: int = 8

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {"q": (1.5, 3000.0), "num_stages": (1, 20)}
    SPACE: ClassVar[Mapping[str, BaseDistribution]] = {"num_stages": IntDistribution(4, 8)}

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 5.07 * self.q**self.num_stages <= MAX_INTERVALS:
            raise ValueError(
                f"`5.07 * q**num_stages <= {MAX_INTERVALS}` must hold, "
                f"but got q={self.q}, num_stages={self.num_stages}"
            )

    @property
    def most_levels(self) -> int:
        return max(self._levels())

    @property
    def most_stages(self) -> int:
        return self.num_stages

    def _levels(self) -> list[int]:
        """N of each stage."""
        return [_num_intervals(self.q ** (stage + 1)) + 1 for stage in range(self.num_stages)]

    def levels_at(self, step_K: Steps, total_steps: int) -> Steps:
        stage_K = np.minimum(step_K * self.num_stages // total_steps, self.num_stages - 1)
        return np.array(self._levels(), dtype=np.int64)[stage_K]


@lru_cache(maxsize=256)
def _num_intervals(shrunk: float) -> int:
    """How often t -> t (1 - n(t) / shrunk) goes from 80 until it is at .002 or below."""
    t, count = 80.0, 0
    while t > 0.002:
        t *= 1 - (1 + 8 / (1 + math.exp(t))) / shrunk
        count += 1
    return count
