"""A noise schedule: what the search looks for and what a trial trains with.

Axes: N levels, M = N - 1 intervals, K optimizer steps.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from spaces.arrays import Array, tensor_of
from spaces.curriculum import CURRICULA, MAX_STAGE_VALUES, Curriculum
from spaces.grid import GRIDS, Grid
from spaces.lazy_torch import Tensor
from spaces.noise_distribution import NOISE, NoiseDistribution
from spaces.registry import STRICT, name_of, one_line


@dataclass(frozen=True, eq=False)
class Stage:
    """A run of steps with the same levels: from start_step up to the next stage's.

    levels: sigma_N, increasing. probabilities: probability_M, of training the pair (sigma_i, sigma_{i+1}).
    Both float64 and shared between callers: copy before changing them. phase: the curriculum's.
    """

    start_step: int
    levels: Array
    probabilities: Array
    phase: int = 0

    @cached_property
    def sigma_N(self) -> Tensor:
        """`levels` as a tensor on the CPU."""
        return tensor_of(self.levels)

    @cached_property
    def probability_M(self) -> Tensor:
        """`probabilities` as a tensor on the CPU."""
        return tensor_of(self.probabilities)

    @property
    def num_levels(self) -> int:
        """N."""
        return len(self.levels)

    def mass(self, edges: Array) -> Array:
        """Probability between the increasing `edges` of ln sigma, one less than those.

        That of an interval is spread evenly over it; what lies outside the edges counts nowhere.
        """
        below_N = np.concatenate([[0.0], np.cumsum(self.probabilities)])
        return np.diff(np.interp(edges, np.log(self.levels), below_N))


@dataclass(frozen=True, kw_only=True)
class NoiseSchedule:
    """Which noise levels exist (grid), how often each is trained (noise), how many when (curriculum).

    uniform_floor: e of p <- (1 - e) p + e/M, mixed into the noise distribution before the curriculum
    has its say. One-step sampling starts at sigma_max, where some laws have next to no mass; .05 is
    our suggestion for those, an insurance and not a proven gain.

    Plain data: equal schedules compare and hash equal, they pickle, and `from_dict(to_dict())` is
    the identity, also through JSON. The defaults are iCT's, Song & Dhariwal 2023 (arXiv:2310.14189).
    """

    grid: Grid
    noise: NoiseDistribution
    curriculum: Curriculum
    uniform_floor: float = 0.0

    def __post_init__(self) -> None:
        check_floor(self.uniform_floor)
        check_levels(self.grid, self.curriculum)
        check_mass(self.grid, self.noise)

    def stages(self, total_steps: int) -> tuple[Stage, ...]:
        """The schedule as numbers for a budget of total_steps: one stage per run of equal N and phase.

        The first starts at step 0. The result is kept, so asking again costs nothing.
        """
        return _stages(self, total_steps)

    def stage_with(self, num_levels: int, phase: int = 0) -> Stage:
        """The stage, said to start at step 0, that it would have with that many levels in that phase."""
        sigma_N = self.grid.noise_levels(num_levels)
        return Stage(0, sigma_N, self.curriculum.trained(self._with_floor(sigma_N), phase), phase)

    def probabilities(self, stage: Stage) -> Tensor:
        """probability_M of this schedule at a stage that another one with its grid and curriculum has."""
        return tensor_of(self.curriculum.trained(self._with_floor(stage.levels), stage.phase))

    def _with_floor(self, sigma_N: Array) -> Array:
        """probability_M before the curriculum has its say."""
        p_M = self.noise.probabilities(sigma_N)
        return (1 - self.uniform_floor) * p_M + self.uniform_floor / len(p_M) if self.uniform_floor else p_M

    def describe(self) -> str:
        """One short line for tables: `lognormal(p_mean=-1.1, p_std=2) rho=7 exponential(...)`.

        Exports have it too, and one that has another line for its schedule is refused.
        """
        floor = f" floor={self.uniform_floor:.4g}" if self.uniform_floor else ""
        return f"{self.noise.describe()}{floor} {self.grid.describe()} {self.curriculum.describe()}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, every option included. Described by noise-schedule.schema.json."""
        return {
            "grid": GRIDS.describe(self.grid),
            "noise": NOISE.describe(self.noise),
            "curriculum": CURRICULA.describe(self.curriculum),
            "uniform_floor": self.uniform_floor,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "NoiseSchedule":
        """The inverse of `to_dict`. An option that is left out has its default, a grid without a name is `karras`.

        Raises ValueError in one line for anything unknown, missing, of the wrong type or out of bounds.
        """
        parts: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "grid": lambda grid: GRIDS.build({"name": "karras", **grid}),
            "noise": NOISE.build,
            "curriculum": CURRICULA.build,
        }
        if not isinstance(data, Mapping):
            raise ValueError(f"A schedule needs a mapping with {', '.join(parts)}, but got {data!r:.60}")
        if set(data) - {"uniform_floor"} != set(parts):
            got = ", ".join(sorted(map(str, data))) or "nothing"
            raise ValueError(
                f"A schedule needs {', '.join(parts)} and may have uniform_floor, but got {got}"[:200]
            )
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
        try:
            floor = _FLOOR.validate_python(data.get("uniform_floor", 0.0))
        except ValidationError as error:
            raise ValueError(one_line(error, "uniform_floor")) from None
        return cls(**built, uniform_floor=floor)


_FLOOR = TypeAdapter(float, config=STRICT)


def check_floor(uniform_floor: float) -> None:
    """Raise ValueError unless it is a share below 1."""
    if not 0 <= uniform_floor < 1:  # NaN fails too
        raise ValueError(f"`0 <= uniform_floor < 1` must hold, but got uniform_floor={uniform_floor!r}")


def check_levels(grid: Grid, curriculum: Curriculum) -> None:
    """Raise ValueError where the curriculum asks for more levels than the grid has, or than float32 tells apart."""
    if curriculum.most_levels > grid.most_levels:
        raise ValueError(
            f"{curriculum.describe()} needs up to {curriculum.most_levels} levels, "
            f"but {name_of(grid)} has {grid.most_levels}"
        )
    share = _told_apart(grid, curriculum.most_levels)
    if share < 1:
        raise ValueError(
            f"levels of {grid.describe()}, sigma_min={grid.sigma_min:g} are too close with {curriculum.most_levels} of "
            f"them ({curriculum.describe()}): two neighbours are {share:.2g} of the spacing of float32 images apart, "
            "most values of both are the same, and their loss is 0. Raise sigma_min, or take fewer levels"
        )


@lru_cache(maxsize=1024)
def _told_apart(grid: Grid, num_levels: int) -> float:
    """The narrowest interval in units of what x + t z, x in [-1, 1], is rounded to in float32; below 1, it is lost.

    Half of float32's eps, its spacing from .5 to 1, times t where that is larger: x + t z and x + r z are mostly equal
    where t - r is less.
    """
    sigma_N = grid.noise_levels(num_levels)
    spacing_M = np.finfo(np.float32).eps / 2 * sigma_N[1:].clip(min=1)
    return float((np.diff(sigma_N) / spacing_M).min())


def check_mass(grid: Grid, noise: NoiseDistribution) -> None:
    """Raise ValueError where all the mass lies outside the grid."""
    noise.probabilities(grid.noise_levels(2))


def check_values(curriculum: Curriculum, total_steps: int) -> None:
    """Raise ValueError where the stages of this budget may be too much for an export."""
    values = curriculum.most_values(total_steps)
    if values > MAX_STAGE_VALUES:
        raise ValueError(
            f"{curriculum.describe()} may have stages of {values} values at total_steps={total_steps}, but an "
            f"export holds {MAX_STAGE_VALUES}. Let it have fewer levels, or change them less often"
        )


@lru_cache(maxsize=8)
def _stages(schedule: NoiseSchedule, total_steps: int) -> tuple[Stage, ...]:
    step_K = np.arange(total_steps, dtype=np.int64)
    num_levels_K = schedule.curriculum.num_levels(step_K, total_steps)
    phase_K = schedule.curriculum.phases_at(step_K, total_steps)
    is_start_K = (np.diff(num_levels_K, prepend=-1) != 0) | (np.diff(phase_K, prepend=-1) != 0)
    base: dict[int, tuple[Array, Array]] = {}  # a sinusoid comes back to the same N
    trained: dict[tuple[int, int], Array] = {}
    stages = []
    for start in np.flatnonzero(is_start_K).tolist():
        num_levels, phase = int(num_levels_K[start]), int(phase_K[start])
        if num_levels not in base:
            sigma_N = schedule.grid.noise_levels(num_levels)
            base[num_levels] = sigma_N, schedule._with_floor(sigma_N)
        sigma_N, probability_M = base[num_levels]
        if (num_levels, phase) not in trained:
            trained[num_levels, phase] = schedule.curriculum.trained(probability_M, phase)
        stages.append(Stage(start, sigma_N, trained[num_levels, phase], phase))
    return tuple(stages)
