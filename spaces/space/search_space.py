"""Which schedules a search may propose: families, and for each option a value, a range or choices."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from spaces.checks import check_values
from spaces.choice import Choice
from spaces.continuous import Stages
from spaces.curriculum import Curriculum
from spaces.gap import Gap
from spaces.grid import Grid
from spaces.loss import Loss
from spaces.noise_distribution import NoiseDistribution
from spaces.schedule import USUAL, NoiseSchedule
from spaces.space.distributions import Trial, at_end, contains, corners, describe, suggest
from spaces.space.family import Family, one_of
from spaces.space.gaps import continuous, ends_of
from spaces.space.least_ends import LeastEnds
from spaces.space.partial import completed
from spaces.space.sections import read_sections
from spaces.weight import Weight


@dataclass(frozen=True)
class SearchSpace:
    """The schedules that a search may propose, conditional on the families drawn.

    Optuna parameters: `grid`, `noise` and `curriculum` where there is more than one family, and
    `lognormal.p_mean`, `exponential.doublings`, `karras_master.rho`, ... of the families drawn; those
    of a grid that is not named are `grid.rho`, ...; `uniform_floor` where it is searched. Parts that
    came later have their name in front: `weight`, `loss.pseudo_huber.huber_c`. What is fixed is no parameter.
    """

    grid: tuple[Family[Grid], ...]
    noise: tuple[Family[NoiseDistribution], ...]
    curriculum: tuple[Family[Curriculum], ...]
    gap: tuple[Family[Gap], ...]
    weight: tuple[Family[Weight], ...]
    loss: tuple[Family[Loss], ...]
    uniform_floor: float | BaseDistribution = 0.0
    ends: LeastEnds | None = None

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any] | None = None) -> "SearchSpace":
        """The space that the `space` section of a search file describes; None and {} mean everything.

            grid: {rho: {low: 5, high: 9}, sigma_max: 80}    # a range; a value: not searched
            noise:                                           # leave it out to search all families
              lognormal: {p_std: {choices: [1.5, 2.0]}}      # what is not named has its default range
              uniform:                                       # all defaults
            curriculum: {exponential: {s0: {low: 2, high: 20, log: true}}}
            uniform_floor: {low: 0, high: 0.2}               # leave it out for none
            ends: {share: 0.1}                               # least share of draws below .3 and above 1; or none
            weight: {inverse_gap: , uniform: }               # leave it out for inverse_gap
            loss: {pseudo_huber: {huber_c: {low: 1e-5, high: 1e-2}}}  # leave it out for that of `training`

        A gap that is not adjacent, `gap: {ect: {q: 2.0}}`, draws levels from the law itself: beside such gaps alone
        there is no curriculum and no floor, and of a grid only `sigma_min` and `sigma_max`. A grid is `karras` unless
        families are named: `grid: {karras: , karras_master: {levels: 251}}`.
        A range takes `low`, `high` and, if wanted, `log` and `step`; `log` defaults to that of the
        class. Raises SpaceError, a ValueError, with all problems on one line, each with its key:
        `space.noise.lognormal.p_std: ...`.
        """
        return cls(**read_sections({} if mapping is None else mapping))

    @property
    def denoises(self) -> bool:
        """Whether diffusion models are trained, instead of consistency models."""
        return any(family.cls.DENOISES for family in self.loss)

    def allows(self, schedule: NoiseSchedule, total_steps: int) -> bool:
        """Whether `schedule` may be proposed, as far as its ends go."""
        return self.ends is None or self.ends.allow(schedule, total_steps)

    def too_large(self, total_steps: int) -> Iterator[tuple[str, str]]:
        """(curriculum, why) of each that may, at a corner, come to more than an export can hold."""
        for family in self.curriculum:
            try:
                for options in family.corners():
                    check_values(family.cls(**options), total_steps, in_pairs=bool(self.unusual))
            except ValueError as error:
                yield family.prefix, str(error)

    def suggest(self, trial: Trial) -> NoiseSchedule:
        """A schedule drawn by `trial`; the same parameters always give the same schedule."""
        gap = one_of(trial, "gap", self.gap).suggest(trial)
        # A grid and a curriculum beside a gap that has neither are no parameters of the trial.
        shared = gap.CONTINUOUS and bool(self.curriculum)
        return NoiseSchedule(
            gap=gap,
            grid=ends_of(self.grid) if shared else one_of(trial, "grid", self.grid).suggest(trial),
            noise=one_of(trial, "noise", self.noise).suggest(trial),
            curriculum=Stages(gap=gap)
            if gap.CONTINUOUS
            else one_of(trial, "curriculum", self.curriculum).suggest(trial),
            uniform_floor=suggest(trial, "uniform_floor", self.uniform_floor)
            if isinstance(self.uniform_floor, BaseDistribution)
            else self.uniform_floor,
            weight=one_of(trial, "weight", self.weight).suggest(trial),
            loss=one_of(trial, "loss", self.loss).suggest(trial),
        )

    def params_of(self, schedule: NoiseSchedule) -> dict[str, Any] | None:
        """The Optuna parameters with which `suggest` gives `schedule`; None if it is not in this space."""
        params: dict[str, Any] = {}
        skipped: tuple[str, ...] = ()
        if schedule.gap.CONTINUOUS and continuous(self.gap):
            skipped = ("grid", "curriculum") if self.curriculum else ("curriculum",)
            if self.curriculum and schedule.grid != ends_of(self.grid):
                return None
        for part, families in self._parts.items():
            if part in skipped:
                continue
            choice: Choice = getattr(schedule, part)
            inside = [family for family in families if family.params_of(choice) is not None]
            if not inside:
                return None
            params |= {part: inside[0].name} if len(families) > 1 else {}
            params |= inside[0].params_of(choice) or {}
        floor = schedule.uniform_floor
        if isinstance(self.uniform_floor, BaseDistribution):
            return params | {"uniform_floor": floor} if contains(self.uniform_floor, floor) else None
        return params if floor == self.uniform_floor else None

    def completed(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Some Optuna parameters of this space, with the families that they belong to.

        ValueError, in one line, for one that it does not have, or outside its range, or without effect.
        """
        found = completed(self._parts, self.uniform_floor, params)
        of_grids = [name for name in found if self._part_of(name) in ("grid", "curriculum")]
        if of_grids and self.curriculum and continuous(self.gap):
            adjacent = next(family.name for family in self.gap if not family.cls.CONTINUOUS)
            if found.setdefault("gap", adjacent) != adjacent:
                raise ValueError(f"{of_grids[0]!r} would have no effect with `gap` {found['gap']!r}")
        return found

    def _part_of(self, name: str) -> str:
        """The part that a parameter belongs to."""
        for part, families in self._parts.items():
            if name == part or any(name.startswith(f"{family.prefix}.") for family in families):
                return part
        return name

    @property
    def _parts(self) -> Mapping[str, tuple[Family[Any], ...]]:
        names = ("grid", "noise", "curriculum", *USUAL)
        return {part: getattr(self, part) for part in names}

    @property
    def unusual(self) -> dict[str, tuple[Family[Any], ...]]:
        """Of the parts in `spaces.schedule.USUAL`, those that may be something else."""
        return {
            part: self._parts[part]
            for part, (_, usual) in USUAL.items()
            if (part != "gap" or not self.denoises)
            and [(family.cls, dict(family.fixed)) for family in self._parts[part]]
            != [(type(usual), dataclasses.asdict(usual))]
        }

    def distributions(self) -> dict[str, BaseDistribution]:
        """What is searched, by the name of its Optuna parameter; see the class."""
        found: dict[str, BaseDistribution] = {}
        for part, families in self._parts.items():
            if len(families) > 1:
                found[part] = CategoricalDistribution([family.name for family in families])
            found |= {
                f"{family.prefix}.{option}": free
                for family in families
                for option, free in family.free.items()
            }
        if isinstance(self.uniform_floor, BaseDistribution):
            found["uniform_floor"] = self.uniform_floor
        return found

    def at_ends(self, schedule: NoiseSchedule) -> list[str]:
        """Searched options of `schedule` that lie at an end of their range: `lognormal.p_mean=1 of [-3, 1]`.

        Within 2 % of it (of its logarithm, if that is searched). Ends that a family cannot go beyond do not count.
        """
        families = [family for part in self._parts.values() for family in part]
        free = {f"{f.prefix}.{option}": (f.cls, option) for f in families for option in f.free}
        found = []
        for name, value in (self.params_of(schedule) or {}).items():
            if name not in free:
                continue
            cls, option = free[name]
            distribution = next(f.free[option] for f in families if name.startswith(f"{f.prefix}."))
            if at_end(distribution, value, cls.BOUNDS.get(option, (-math.inf, math.inf))):
                low, high = corners(distribution)
                found.append(f"{name}={value:.4g} of [{low:g}, {high:g}]")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain data with every option of every family; `from_mapping` reads it back to an equal space."""
        grids = {family.prefix: family.to_dict() for family in self.grid}
        floor = self.uniform_floor
        curricula = {family.prefix: family.to_dict() for family in self.curriculum}
        return {
            "grid": grids.get("grid", grids),
            "noise": {family.prefix: family.to_dict() for family in self.noise},
            **({"curriculum": curricula} if curricula else {}),
            "uniform_floor": describe(floor) if isinstance(floor, BaseDistribution) else floor,
            **({} if self.ends is None else {"ends": self.ends.to_dict()}),
            **{
                part: {family.name: family.to_dict() for family in families}
                for part, families in self.unusual.items()
            },
        }
