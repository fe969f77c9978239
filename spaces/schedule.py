"""A noise schedule: what the search looks for and what a trial trains with.

Axes: N levels, M = N - 1 intervals, K optimizer steps.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from pydantic import ValidationError
from torch import Tensor

from spaces.curriculum import CURRICULA, Curriculum
from spaces.grid import KarrasGrid
from spaces.noise_distribution import NOISE, NoiseDistribution
from spaces.registry import one_line, validated


@dataclass(frozen=True, eq=False)
class Stage:
    """A run of steps with the same levels: from start_step up to the next stage's.

    sigma_N: increasing noise levels. probability_M: of training the pair (sigma_i, sigma_{i+1}).
    Both float64 on the CPU and shared between callers: copy before changing them.
    """

    start_step: int
    sigma_N: Tensor
    probability_M: Tensor

    @property
    def num_levels(self) -> int:
        """N."""
        return len(self.sigma_N)


@dataclass(frozen=True, kw_only=True)
class NoiseSchedule:
    """Which noise levels exist (grid), how often each is trained (noise), how many when (curriculum).

    Plain data: equal schedules compare and hash equal, they pickle, and `from_dict(to_dict())` is
    the identity, also through JSON. The defaults are iCT's, Song & Dhariwal 2023 (arXiv:2310.14189).
    """

    grid: KarrasGrid
    noise: NoiseDistribution
    curriculum: Curriculum

    def stages(self, total_steps: int) -> tuple[Stage, ...]:
        """The schedule as numbers for a budget of total_steps: one stage per run of equal N.

        The first starts at step 0. The result is kept, so asking again costs nothing.
        """
        return _stages(self, total_steps)

    def probabilities(self, stage: Stage) -> Tensor:
        """probability_M of this schedule at a stage that another one with its grid and curriculum has."""
        return self.noise.interval_probabilities(stage.sigma_N)

    def describe(self) -> str:
        """One short line for tables: `lognormal(p_mean=-1.1, p_std=2) rho=7 exponential(...)`."""
        return f"{self.noise.describe()} {self.grid.describe()} {self.curriculum.describe()}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, every option included. Described by noise-schedule.schema.json."""
        return {
            "grid": asdict(self.grid),
            "noise": NOISE.describe(self.noise),
            "curriculum": CURRICULA.describe(self.curriculum),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "NoiseSchedule":
        """The inverse of `to_dict`. An option that is left out has its default.

        Raises ValueError in one line for anything unknown, missing, of the wrong type or out of bounds.
        """
        parts: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "grid": partial(validated, KarrasGrid),
            "noise": NOISE.build,
            "curriculum": CURRICULA.build,
        }
        if not isinstance(data, Mapping):
            raise ValueError(f"A schedule needs a mapping with {', '.join(parts)}, but got {data!r:.60}")
        if set(data) != set(parts):
            got = ", ".join(sorted(map(str, data))) or "nothing"
            raise ValueError(f"A schedule needs exactly {', '.join(parts)}, but got {got}"[:200])
        built: dict[str, Any] = {}
        for part, build in parts.items():
            if not isinstance(data[part], Mapping):
                raise ValueError(f"{part}: a mapping is needed, but got {data[part]!r:.60}")
            try:
                built[part] = build(data[part])
            except ValidationError as error:
                raise ValueError(one_line(error, part)) from None
            except ValueError as error:
                raise ValueError(f"{part}: {error}") from None
        return cls(**built)


@lru_cache(maxsize=8)
def _stages(schedule: NoiseSchedule, total_steps: int) -> tuple[Stage, ...]:
    num_levels_K = schedule.curriculum.num_levels(np.arange(total_steps, dtype=np.int64), total_steps)
    starts = np.flatnonzero(np.diff(num_levels_K, prepend=-1))
    tensors: dict[int, tuple[Tensor, Tensor]] = {}  # a sinusoid comes back to the same N
    stages = []
    for start in starts.tolist():
        num_levels = int(num_levels_K[start])
        if num_levels not in tensors:
            sigma_N = schedule.grid.sigmas(num_levels)
            tensors[num_levels] = sigma_N, schedule.noise.interval_probabilities(sigma_N)
        stages.append(Stage(start, *tensors[num_levels]))
    return tuple(stages)
