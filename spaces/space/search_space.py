"""Which schedules a search may propose: families, and for each option a value, a range or choices."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from spaces.choice import Choice
from spaces.curriculum import CURRICULA, Curriculum
from spaces.grid import Grid
from spaces.noise_distribution import NOISE, NoiseDistribution
from spaces.schedule import NoiseSchedule, check_values
from spaces.space.distributions import Trial, at_end, contains, corners, describe, suggest
from spaces.space.family import Family, one_of
from spaces.space.least_ends import LeastEnds
from spaces.space.partial import completed
from spaces.space.problems import all_refusals, refusal
from spaces.space.reading import (
    check_known,
    check_together,
    checked_mapping,
    read_ends,
    read_families,
    read_floor,
    read_grids,
)

_SECTIONS = ("grid", "noise", "curriculum", "uniform_floor", "ends")


@dataclass(frozen=True)
class SearchSpace:
    """The schedules that a search may propose, conditional on the families drawn.

    Optuna parameters: `grid`, `noise` and `curriculum` where there is more than one family, and
    `lognormal.p_mean`, `exponential.doublings`, `karras_master.rho`, ... of the families drawn; those
    of a grid that is not named are `grid.rho`, ...; `uniform_floor` where it is searched. What is
    fixed is no parameter.
    """

    grid: tuple[Family[Grid], ...]
    noise: tuple[Family[NoiseDistribution], ...]
    curriculum: tuple[Family[Curriculum], ...]
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

        A grid is `karras` unless families are named: `grid: {karras: , karras_master: {levels: 251}}`.
        A range takes `low`, `high` and, if wanted, `log` and `step`; `log` defaults to that of the
        class. Raises SpaceError, a ValueError, with all problems on one line, each with its key:
        `space.noise.lognormal.p_std: ...`.
        """
        sections = checked_mapping({} if mapping is None else mapping, ())
        with all_refusals() as refusals:
            with refusals.of():
                check_known(sections, _SECTIONS, (), "section")
            with refusals.of():
                grid = read_grids(sections.get("grid"))
            with refusals.of():
                noise = read_families(NOISE, sections.get("noise"), ("noise",))
            with refusals.of():
                curriculum = read_families(CURRICULA, sections.get("curriculum"), ("curriculum",))
            with refusals.of():
                floor = read_floor(sections.get("uniform_floor", 0.0))
            with refusals.of():
                least_ends = read_ends(sections.get("ends"))
        _check_prefixes((*grid, *noise, *curriculum))
        check_together(grid, noise, curriculum)
        return cls(grid, noise, curriculum, floor, least_ends)

    def allows(self, schedule: NoiseSchedule, total_steps: int) -> bool:
        """Whether `schedule` may be proposed, as far as its ends go."""
        return self.ends is None or self.ends.allow(schedule, total_steps)

    def too_large(self, total_steps: int) -> Iterator[tuple[str, str]]:
        """(curriculum, why) of each that may, at a corner, come to more than an export can hold."""
        for family in self.curriculum:
            try:
                for options in family.corners():
                    check_values(family.cls(**options), total_steps)
            except ValueError as error:
                yield family.prefix, str(error)

    def suggest(self, trial: Trial) -> NoiseSchedule:
        """A schedule drawn by `trial`; the same parameters always give the same schedule."""
        return NoiseSchedule(
            grid=one_of(trial, "grid", self.grid).suggest(trial),
            noise=one_of(trial, "noise", self.noise).suggest(trial),
            curriculum=one_of(trial, "curriculum", self.curriculum).suggest(trial),
            uniform_floor=suggest(trial, "uniform_floor", self.uniform_floor)
            if isinstance(self.uniform_floor, BaseDistribution)
            else self.uniform_floor,
        )

    def params_of(self, schedule: NoiseSchedule) -> dict[str, Any] | None:
        """The Optuna parameters with which `suggest` gives `schedule`; None if it is not in this space."""
        params: dict[str, Any] = {}
        for part, families in self._parts.items():
            choice: Choice = getattr(schedule, part)
            inside = [family for family in families if family.params_of(choice) is not None]
            if not inside:
                return None
            params |= {part: inside[0].prefix} if len(families) > 1 else {}
            params |= inside[0].params_of(choice) or {}
        floor = schedule.uniform_floor
        if isinstance(self.uniform_floor, BaseDistribution):
            return params | {"uniform_floor": floor} if contains(self.uniform_floor, floor) else None
        return params if floor == self.uniform_floor else None

    def completed(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Some Optuna parameters of this space, with the families that they belong to.

        ValueError, in one line, for one that it does not have, or outside its range, or without effect.
        """
        return completed(self._parts, self.uniform_floor, params)

    @property
    def _parts(self) -> Mapping[str, tuple[Family[Any], ...]]:
        return {"grid": self.grid, "noise": self.noise, "curriculum": self.curriculum}

    def distributions(self) -> dict[str, BaseDistribution]:
        """What is searched, by the name of its Optuna parameter; see the class."""
        found: dict[str, BaseDistribution] = {}
        for part, families in self._parts.items():
            if len(families) > 1:
                found[part] = CategoricalDistribution([family.prefix for family in families])
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
        families: tuple[Family[Any], ...] = (*self.grid, *self.noise, *self.curriculum)
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
        return {
            "grid": grids.get("grid", grids),
            "noise": {family.prefix: family.to_dict() for family in self.noise},
            "curriculum": {family.prefix: family.to_dict() for family in self.curriculum},
            "uniform_floor": describe(floor) if isinstance(floor, BaseDistribution) else floor,
            **({} if self.ends is None else {"ends": self.ends.to_dict()}),
        }


def _check_prefixes(families: tuple[Family[Any], ...]) -> None:
    """Refuse two files of one name, whose Optuna parameters would be the same."""
    taken = [*_SECTIONS, *(family.prefix for family in families if family.prefix != "grid")]
    twice = sorted({prefix for prefix in taken if taken.count(prefix) > 1})
    if twice:
        raise refusal((), f"the name {twice[0]!r} is taken twice; rename one of the files")
