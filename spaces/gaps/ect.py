from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from spaces.arrays import Array
from spaces.curriculum import Steps
from spaces.gap import Gap

MAX_SHRINKING = 2.0**20  # beyond, float32 does not tell student and teacher apart


@dataclass(frozen=True, kw_only=True)
class ECTGap(Gap):
    """A share of t that shrinks q-fold per stage, larger for small t. ECT, Geng et al. 2024 (arXiv:2406.14548).

        r = max(sigma_min, t (1 - n(t) / q**(s + 1))),   n(t) = 1 + k sigmoid(-b t)

    in stages s = 0, 1, ..., num_stages - 1, equally long. Read in locuslab/ect (`t_to_r_sigmoid`; k 8, b 1 and q 2 are
    its defaults, q 256 its one-hour recipe) and in NVlabs/FastGen; sony/cmt trains with q 4096 in one stage.

    Departs: their smallest r is 0, where the target is the clean image; here it is sigma_min, where the target is the
    image with the noise of sigma_min. FastGen also ends at q**(s + 1) = 1000.
    """

    q: float = 2.0
    num_stages: int = 8
    k: float = 8.0
    b: float = 1.0

    RULE: ClassVar[str] = (
        "max(sigma_min, t (1 - (1 + k / (1 + exp(b t))) / q^(s + 1))), s = floor(num_stages step / total_steps)"
    )
    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {
        "q": (1.1, MAX_SHRINKING),
        "num_stages": (1, 20),
        "k": (0.0, 1000.0),
        "b": (0.0, 1000.0),
    }
    SPACE: ClassVar[Mapping[str, BaseDistribution]] = {
        "q": FloatDistribution(1.5, 3.0, log=True),
        "num_stages": IntDistribution(1, 8),
        "k": FloatDistribution(0.0, 16.0),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.q**self.num_stages <= MAX_SHRINKING:
            raise ValueError(
                f"`q**num_stages <= 2**20` must hold, but got q={self.q}, num_stages={self.num_stages}"
            )

    @property
    def most_stages(self) -> int:
        return self.num_stages

    def stages_at(self, step_K: Steps, total_steps: int) -> Steps:
        return np.minimum(step_K * self.num_stages // total_steps, self.num_stages - 1)

    def teacher(self, t_M: Array, sigma_min: float, stage: int) -> Array:
        sigmoid_M = np.exp(-np.logaddexp(0.0, self.b * t_M))
        share_M = (1 + self.k * sigmoid_M) / self.q ** (stage + 1)
        return (t_M * (1 - share_M)).clip(min=sigma_min)
