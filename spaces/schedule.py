"""A noise schedule: what the search looks for and what a trial trains with.

Axes: N levels, M = N - 1 intervals, K optimizer steps.
"""

import html
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from spaces.arrays import Array, tensor_of
from spaces.checks import (
    NO_TEACHER,
    check_continuous,
    check_denoising,
    check_floor,
    check_gap,
    check_learned,
    check_levels,
    check_mass,
    check_parts,
    check_weight,
)
from spaces.choice import Choice
from spaces.continuous import Clean, Ends, Stages, quantiles
from spaces.curriculum import CURRICULA, Curriculum
from spaces.gap import GAPS, Gap
from spaces.gaps.adjacent import Adjacent
from spaces.grid import GRIDS, Grid
from spaces.heun import heun_levels
from spaces.ideal_loss import ideal_distance
from spaces.lazy_torch import Tensor
from spaces.loss import LOSSES, Loss
from spaces.losses.denoising import Denoising
from spaces.losses.pseudo_huber import ICT_HUBER_C, PseudoHuber
from spaces.noise_distribution import NOISE, NoiseDistribution
from spaces.registry import STRICT, Registry, one_line, validated
from spaces.sparkline import with_density
from spaces.stage import Pairs, Stage
from spaces.weight import WEIGHTS, Weight
from spaces.weights.edm import EDM
from spaces.weights.inverse_gap import InverseGap

# Parts that came later: what they are where a schedule does not say, as all did before version 0.3.
_ADJACENT, _INVERSE_GAP, _PSEUDO_HUBER, _ENDS = Adjacent(), InverseGap(), PseudoHuber(), Ends()
_CLEAN, _DENOISING, _EDM = Clean(), Denoising(), EDM()
USUAL: Mapping[str, tuple[Registry[Any], Any]] = {
    "gap": (GAPS, _ADJACENT),
    "weight": (WEIGHTS, _INVERSE_GAP),
    "loss": (LOSSES, _PSEUDO_HUBER),
}


@dataclass(frozen=True, kw_only=True)
class NoiseSchedule:
    """Which noise levels exist (grid), how often each is trained (noise), how many when (curriculum).

    gap: how far the teacher is; where it is not the neighbour on the grid there are no grid and no curriculum, but
    `Ends` and `Stages`, see `continuous`. weight: how much each pair counts. loss: of what distance; if
    that to the clean image, there is no gap, see `denoising`. Of these parts those of `USUAL` are in no text and no
    JSON of it.
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
    gap: Gap = _ADJACENT
    weight: Weight = _INVERSE_GAP
    loss: Loss = _PSEUDO_HUBER

    def __post_init__(self) -> None:
        check_floor(self.uniform_floor)
        check_denoising(self.loss, self.gap, self.weight)
        check_learned(self.weight, self.noise)
        check_parts(self.grid, self.curriculum, self.uniform_floor, self.gap)
        if isinstance(self.grid, Ends):
            check_continuous(self.noise, self.gap)
            check_mass(self.grid, self.noise)
            check_gap(self.noise, self.gap, self.grid)
        else:
            check_levels(self.grid, self.curriculum)
            check_mass(self.grid, self.noise)
        if self.weight != _INVERSE_GAP:
            finest = self.stage_with(self.curriculum.most_levels, phase=self.gap.most_stages - 1)
            t_M = quantiles(self.noise, self.grid) if isinstance(self.grid, Ends) else finest.levels[1:]
            check_weight(self.weight, t_M, self.gap.teacher(t_M, self.grid.sigma_min, finest.phase))

    @classmethod
    def continuous(
        cls,
        noise: NoiseDistribution,
        gap: Gap,
        ends: Ends = _ENDS,
        *,
        weight: Weight = _INVERSE_GAP,
        loss: Loss = _PSEUDO_HUBER,
    ) -> "NoiseSchedule":
        """One whose levels are drawn from the law itself, with a gap that is not adjacent."""
        return cls(grid=ends, noise=noise, curriculum=Stages(gap=gap), gap=gap, weight=weight, loss=loss)

    @classmethod
    def denoising(
        cls,
        noise: NoiseDistribution,
        ends: Ends = _ENDS,
        *,
        weight: Weight = _EDM,
        loss: Denoising = _DENOISING,
    ) -> "NoiseSchedule":
        """One of a diffusion model: levels are drawn from the law itself, the target is the image."""
        return cls(
            grid=ends, noise=noise, curriculum=Stages(gap=_CLEAN), gap=_CLEAN, weight=weight, loss=loss
        )

    @property
    def adapts(self) -> bool:
        """Whether training changes it, so that it is only a start."""
        return self.noise.ADAPTIVE or self.weight.LEARNED

    @property
    def identity_at(self) -> float:
        """The noise level at which what is trained gives its input back."""
        return 0.0 if self.loss.DENOISES else self.grid.sigma_min

    @property
    def sampled_at(self) -> tuple[float, ...]:
        """The noise levels, decreasing, at which its models are sampled where nothing else is said."""
        return self.sampled_from(None)

    def sampled_from(self, sigma_start: float | None) -> tuple[float, ...]:
        """The same, where sampling starts at this level; None: at sigma_max."""
        first = self.grid.sigma_max if sigma_start is None else sigma_start
        if isinstance(self.loss, Denoising):
            return heun_levels(self.loss.heun_steps, self.grid.sigma_min, first)
        return (first,)

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

    def pairs(self, stage: Stage, sigma_data: float) -> Pairs:
        """What is trained in one of its stages."""
        if isinstance(self.grid, Ends):
            t_M = quantiles(self.noise, self.grid)
            return self._pairs(stage, t_M, np.full_like(t_M, 1 / len(t_M)), sigma_data)
        return self._pairs(stage, stage.levels[1:], stage.probabilities, sigma_data)

    def _pairs(self, stage: Stage, t_M: Array, probability_M: Array, sigma_data: float) -> Pairs:
        r_M = self.gap.teacher(t_M, float(stage.levels[0]), stage.phase)
        weight_M = self.weight.of_pairs(t_M, r_M, sigma_data)
        importance_M = self.noise.loss_weights(probability_M)
        if importance_M is not None:
            weight_M = weight_M * importance_M
        return Pairs(t_M, r_M, probability_M, weight_M)

    def minimised(self, stage: Stage, sigma_data: float = 0.5, huber_c: float = ICT_HUBER_C) -> Stage:
        """The stage with the share of each interval in what is minimised, law times weight, for its probability.

        A weight that is learned is taken for what it comes to, one over the expected distance, with the distance of a
        perfect model on Gaussian data, as no other is known before training. huber_c: the training's.
        """
        pairs = self._pairs(stage, stage.levels[1:], stage.probabilities, sigma_data)
        weight_M = pairs.weight_M
        if self.weight.LEARNED:
            weight_M = 1 / ideal_distance(self.loss, pairs.t_M, pairs.r_M, sigma_data, huber_c)
        share_M = pairs.probability_M * weight_M
        return replace(stage, probabilities=share_M / share_M.sum())

    def intervals(self, stage: Stage, edges: Array) -> Array:
        """How many gaps of teacher and student there are between the increasing `edges` of ln sigma, one less of them.

        One over the distance of ln t and ln r, integrated over ln t: on a grid, how many of its intervals.
        """
        ln_sigma_N = np.log(stage.levels)
        count_N = np.arange(stage.num_levels, dtype=np.float64)
        if self.gap.CONTINUOUS:
            t_M = stage.levels[1:]
            sigma_min = float(stage.levels[0])
            r_M = self.gap.teacher(t_M, sigma_min, stage.phase).clip(min=sigma_min)  # 0 is no ln sigma
            count_N[1:] = np.cumsum(np.diff(ln_sigma_N) / np.log(t_M / r_M))
        return np.diff(np.interp(edges, ln_sigma_N, count_N))

    def _with_floor(self, sigma_N: Array) -> Array:
        """probability_M before the curriculum has its say."""
        p_M = self.noise.probabilities(sigma_N)
        return (1 - self.uniform_floor) * p_M + self.uniform_floor / len(p_M) if self.uniform_floor else p_M

    def describe(self) -> str:
        """One short line for tables: `lognormal(p_mean=-1.1, p_std=2) rho=7 exponential(...)`.

        Exports have it too, and one that has another line for its schedule is refused.
        """
        floor = f" floor={self.uniform_floor:.4g}" if self.uniform_floor else ""
        said = "".join(f" {part}={choice.describe()}" for part, choice in self.unusual.items())
        where = f"{self.grid.describe()} {self.curriculum.describe()}".strip()
        return f"{self.noise.describe()}{floor} {where}{said}"

    def _repr_html_(self) -> str:
        """In a notebook: how often it trains each noise level, and its line."""
        return f"<pre>{html.escape(with_density(self))}</pre>"

    @property
    def unusual(self) -> dict[str, Choice]:
        """Of the parts in `USUAL`, those that are something else here."""
        parts = {part: getattr(self, part) for part in USUAL if part != "gap" or not self.loss.DENOISES}
        return {part: choice for part, choice in parts.items() if choice != USUAL[part][1]}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, every option included. Described by noise-schedule.schema.json."""
        if isinstance(self.grid, Ends):
            parts: dict[str, Any] = {"grid": asdict(self.grid), "noise": NOISE.describe(self.noise)}
        else:
            parts = {
                "grid": GRIDS.describe(self.grid),
                "noise": NOISE.describe(self.noise),
                "curriculum": CURRICULA.describe(self.curriculum),
                "uniform_floor": self.uniform_floor,
            }
        return {
            **parts,
            **{part: USUAL[part][0].describe(choice) for part, choice in self.unusual.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "NoiseSchedule":
        """The inverse of `to_dict`. An option that is left out has its default, a grid without a name is `karras`.

        Raises ValueError in one line for anything unknown, missing, of the wrong type or out of bounds.
        """
        if not isinstance(data, Mapping):
            raise ValueError(f"A schedule needs a mapping with grid, noise, curriculum, but got {data!r:.60}")
        denoises = _denoises(data)
        continuous = denoises or getattr(_named(data, "gap"), "CONTINUOUS", False)
        parts: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "grid": _ends if continuous else lambda grid: GRIDS.build({"name": "karras", **grid}),
            "noise": NOISE.build,
            **({} if continuous else {"curriculum": CURRICULA.build}),
        }
        if set(data) - {"uniform_floor", *USUAL} != set(parts):
            got = ", ".join(sorted(map(str, data))) or "nothing"
            which = "with this gap " if continuous and not denoises else ""
            raise ValueError(
                f"A schedule {which}needs {', '.join(parts)} and may have uniform_floor, {', '.join(USUAL)}, "
                f"but got {got}"[:200]
            )
        built: dict[str, Any] = {}
        parts |= {part: registry.build for part, (registry, _) in USUAL.items() if part in data}
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
        if denoises:
            built = {"weight": _EDM, **built, "gap": _CLEAN}
        if continuous:
            built["curriculum"] = Stages(gap=built["gap"])
        return cls(**built, uniform_floor=floor)


def _named(data: Mapping[str, Any], part: str) -> Any:
    """The class of a schedule's part, as it was given; None where it has no name."""
    given = data.get(part)
    name = given.get("name") if isinstance(given, Mapping) else None
    try:
        return USUAL[part][0][name] if isinstance(name, str) else None
    except ValueError as error:
        raise ValueError(f"{part}: {error}") from None


def _denoises(data: Mapping[str, Any]) -> bool:
    """Whether a schedule's `loss` is that of a diffusion model, beside which there is no gap."""
    loss = _named(data, "loss")
    if loss is None or not loss.DENOISES:
        return False
    if "gap" in data:
        raise ValueError(f"gap: {NO_TEACHER}. Leave it out")
    return True


def _ends(given: Mapping[str, Any]) -> Ends:
    others = sorted(set(given) - {"sigma_min", "sigma_max"})
    if others:
        raise ValueError(
            f"a gap that is not adjacent has only sigma_min and sigma_max for a grid, but got {others[0]!r:.60}"
        )
    return validated(Ends, given)


_FLOOR = TypeAdapter(float, config=STRICT)


@lru_cache(maxsize=8)
def _levels_known(schedule: NoiseSchedule) -> dict[int, tuple[Array, Array]]:
    """By N, levels and probabilities: a sinusoid comes back to the same N, and so do other budgets."""
    return {}


@lru_cache(maxsize=8)
def _stages(schedule: NoiseSchedule, total_steps: int) -> tuple[Stage, ...]:
    step_K = np.arange(total_steps, dtype=np.int64)
    num_levels_K = schedule.curriculum.num_levels(step_K, total_steps)
    phase_K = schedule.curriculum.phases_at(step_K, total_steps)
    is_start_K = (np.diff(num_levels_K, prepend=-1) != 0) | (np.diff(phase_K, prepend=-1) != 0)
    base = _levels_known(schedule)
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
