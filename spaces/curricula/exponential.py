import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from optuna.distributions import BaseDistribution, IntDistribution

from spaces.curriculum import MAX_INTERVALS, Curriculum, Steps


@dataclass(frozen=True, kw_only=True)
class Exponential(Curriculum):
    """N doubles, s0 + 1 -> s1 + 1, in stages of equal length. iCT, Song & Dhariwal 2023 (arXiv:2310.14189).

        N(k) = min(s0 * 2**floor(k/K'), s1) + 1,   K' = floor(K / (log2(floor(s1/s0)) + 1))

    s1 is s0 * 2**doublings, the last stage being as long as the others. Only a published s1 that is
    no such number (2 -> 150) is given itself; it cuts the last doubling short, and with it the last
    stage. That makes s1 a poor thing to search: the search draws doublings instead.
    """

    s0: int = 10
    doublings: int = 7
    s1: int | None = None

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {"s0": (1, MAX_INTERVALS), "doublings": (0, 14)}
    # Up to iCT's N = 1281. Beyond 1024 discrete training degrades numerically (sCM, arXiv:2410.11081).
    SPACE: ClassVar[Mapping[str, BaseDistribution]] = {
        "s0": IntDistribution(2, 10, log=True),
        "doublings": IntDistribution(3, 7),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        full = self.s0 * 2**self.doublings
        if full > MAX_INTERVALS:
            raise ValueError(
                f"`s0 * 2**doublings <= {MAX_INTERVALS}` must hold, "
                f"but got s0={self.s0}, doublings={self.doublings}"
            )
        if self.s1 is not None and not full < 2 * self.s1 < 2 * full:  # one way to say each curriculum
            raise ValueError(
                "`s0 * 2**(doublings - 1) < s1 < s0 * 2**doublings` must hold, "
                f"but got s0={self.s0}, doublings={self.doublings}, s1={self.s1}. "
                "Leave s1 out for s1 = s0 * 2**doublings"
            )

    @property
    def most_levels(self) -> int:
        return self._top + 1

    @property
    def most_stages(self) -> int:
        return self.doublings + 1

    @property
    def _top(self) -> int:
        return self.s0 * 2**self.doublings if self.s1 is None else self.s1

    def levels_at(self, step_K: Steps, total_steps: int) -> Steps:
        s1 = self._top
        stage_steps = max(1, math.floor(total_steps / (math.log2(s1 // self.s0) + 1)))
        num_doublings_K = np.minimum(step_K // stage_steps, self.doublings)
        return np.minimum(self.s0 * 2**num_doublings_K, s1) + 1
