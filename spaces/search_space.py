"""Which schedules a search may propose: families, and for each option a value, a range or choices."""

import dataclasses
import itertools
import math
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, Protocol, TypeVar

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import TypeAdapter, ValidationError

from spaces.choice import Choice
from spaces.curriculum import CURRICULA, Curriculum
from spaces.grid import GRIDS, Grid
from spaces.noise_distribution import NOISE, NoiseDistribution
from spaces.registry import STRICT, Registry, one_line
from spaces.schedule import NoiseSchedule, check_floor, check_levels, check_mass, check_values

C = TypeVar("C", bound=Choice)


class Trial(Protocol):
    """What proposes values: optuna's Trial, FixedTrial or FrozenTrial."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...
    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int: ...
    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


@dataclass(frozen=True)
class Family(Generic[C]):
    """One class, with each of its options either fixed to a value or free: searched.

    prefix: of the Optuna parameters, `lognormal` in `lognormal.p_mean`.
    """

    prefix: str
    cls: type[C]
    fixed: Mapping[str, Any]
    free: Mapping[str, BaseDistribution]

    def suggest(self, trial: Trial) -> C:
        drawn = {
            option: _suggest(trial, f"{self.prefix}.{option}", distribution)
            for option, distribution in self.free.items()
        }
        return self.cls(**self.fixed, **drawn)

    def params_of(self, choice: Choice) -> dict[str, Any] | None:
        """The Optuna parameters that give `choice`, None if no parameters do."""
        if type(choice) is not self.cls:
            return None
        for field in dataclasses.fields(choice):
            value = getattr(choice, field.name)
            if field.name in self.free:
                if not _contains(self.free[field.name], value):
                    return None
            elif value != self.fixed[field.name]:
                return None
        return {f"{self.prefix}.{option}": getattr(choice, option) for option in self.free}

    def corners(self) -> Iterator[dict[str, Any]]:
        """All options at every corner of the space: the ends of each range, the extremes of choices."""
        for corner in itertools.product(*map(_corners, self.free.values())):
            yield {**self.fixed, **dict(zip(self.free, corner, strict=True))}

    def to_dict(self) -> dict[str, Any]:
        """Every option with its value, range or choices."""
        return {
            field.name: _describe(self.free[field.name])
            if field.name in self.free
            else self.fixed[field.name]
            for field in dataclasses.fields(self.cls)
        }


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

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any] | None = None) -> "SearchSpace":
        """The space that the `space` section of a search file describes; None and {} mean everything.

            grid: {rho: {low: 5, high: 9}, sigma_max: 80}    # a range; a value: not searched
            noise:                                           # leave it out to search all families
              lognormal: {p_std: {choices: [1.5, 2.0]}}      # what is not named has its default range
              uniform:                                       # all defaults
            curriculum: {exponential: {s0: {low: 2, high: 20, log: true}}}
            uniform_floor: {low: 0, high: 0.2}               # leave it out for none

        A grid is `karras` unless families are named: `grid: {karras: , karras_master: {levels: 251}}`.
        A range takes `low`, `high` and, if wanted, `log` and `step`; `log` defaults to that of the
        class. Raises ValueError, one line that starts with the key: `space.noise.lognormal.p_std: ...`.
        """
        sections = _mapping({} if mapping is None else mapping, "space")
        sections_known = ("grid", "noise", "curriculum", "uniform_floor")
        _known(sections, sections_known, "space", "section")
        grid = _grids(sections.get("grid"))
        noise = _families(NOISE, sections.get("noise"), "space.noise")
        curriculum = _families(CURRICULA, sections.get("curriculum"), "space.curriculum")
        families: tuple[Family[Any], ...] = (*grid, *noise, *curriculum)
        prefixes = [*sections_known, *(family.prefix for family in families if family.prefix != "grid")]
        twice = sorted({prefix for prefix in prefixes if prefixes.count(prefix) > 1})
        if twice:
            raise ValueError(f"space: the name {twice[0]!r} is taken twice; rename one of the files")
        for family in grid:
            _check_grid(family, noise, curriculum)
        return cls(grid, noise, curriculum, _floor(sections.get("uniform_floor", 0.0)))

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
            grid=_one_of(trial, "grid", self.grid).suggest(trial),
            noise=_one_of(trial, "noise", self.noise).suggest(trial),
            curriculum=_one_of(trial, "curriculum", self.curriculum).suggest(trial),
            uniform_floor=_suggest(trial, "uniform_floor", self.uniform_floor)
            if isinstance(self.uniform_floor, BaseDistribution)
            else self.uniform_floor,
        )

    def params_of(self, schedule: NoiseSchedule) -> dict[str, Any] | None:
        """The Optuna parameters with which `suggest` gives `schedule`; None if it is not in this space."""
        params: dict[str, Any] = {}
        parts: tuple[tuple[str, tuple[Family[Any], ...], Choice], ...] = (
            ("grid", self.grid, schedule.grid),
            ("noise", self.noise, schedule.noise),
            ("curriculum", self.curriculum, schedule.curriculum),
        )
        for part, families, choice in parts:
            inside = [family for family in families if family.params_of(choice) is not None]
            if not inside:
                return None
            params |= {part: inside[0].prefix} if len(families) > 1 else {}
            params |= inside[0].params_of(choice) or {}
        floor = schedule.uniform_floor
        if isinstance(self.uniform_floor, BaseDistribution):
            return params | {"uniform_floor": floor} if _contains(self.uniform_floor, floor) else None
        return params if floor == self.uniform_floor else None

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
            if _at_end(distribution, value, cls.BOUNDS.get(option, (-math.inf, math.inf))):
                low, high = _corners(distribution)
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
            "uniform_floor": _describe(floor) if isinstance(floor, BaseDistribution) else floor,
        }


def _one_of(trial: Trial, name: str, families: tuple[Family[C], ...]) -> Family[C]:
    if len(families) == 1:
        return families[0]
    by_prefix = {family.prefix: family for family in families}
    return by_prefix[trial.suggest_categorical(name, list(by_prefix))]


# Optuna's distributions


def _suggest(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    match distribution:
        case FloatDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_float(name, low, high, step=step, log=log)
        case IntDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_int(name, low, high, step=step, log=log)
        case CategoricalDistribution(choices=choices):
            return trial.suggest_categorical(name, choices)
    raise TypeError(f"{name}: unsupported distribution {distribution!r}")


def _single(read: Any) -> Any:
    """A distribution over one value is that value."""
    return _corners(read)[0] if isinstance(read, BaseDistribution) and read.single() else read


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    match distribution:
        case CategoricalDistribution(choices=choices):
            return value in choices
        case FloatDistribution() | IntDistribution():
            low, high, step = distribution.low, distribution.high, distribution.step
            return value is not None and low <= value <= high and _on_step(value - low, step)
    raise TypeError(f"unsupported distribution {distribution!r}")


_END = 0.02  # share of a range that counts as its end


def _at_end(distribution: BaseDistribution, value: Any, bounds: tuple[float, float]) -> bool:
    """Whether the value lies at an end of the range that is within the bounds."""
    if not isinstance(distribution, FloatDistribution | IntDistribution):
        return False
    low, high = float(distribution.low), float(distribution.high)
    x, start, end = (math.log(v) if distribution.log else v for v in (value, low, high))
    near_low, near_high = (x - start <= _END * (end - start), end - x <= _END * (end - start))
    return bool((near_low and low > bounds[0]) or (near_high and high < bounds[1]))


def _on_step(distance: float, step: float | None) -> bool:
    """Whether the distance is a multiple of step, to the 1e-8 that Optuna allows too."""
    return step is None or abs(distance / step - round(distance / step)) < 1e-8


def _describe(distribution: BaseDistribution) -> dict[str, Any]:
    match distribution:
        case CategoricalDistribution(choices=choices):
            return {"choices": list(choices)}
        case FloatDistribution(low=low, high=high, step=step, log=log):
            return {"low": low, "high": high, "log": log} | ({} if step is None else {"step": step})
        case IntDistribution(low=low, high=high, step=step, log=log):
            return {"low": low, "high": high, "log": log} | ({} if step == 1 else {"step": step})
    raise TypeError(f"unsupported distribution {distribution!r}")


def _corners(distribution: BaseDistribution) -> tuple[Any, ...]:
    match distribution:
        case CategoricalDistribution(choices=choices):
            numbers = [choice for choice in choices if isinstance(choice, int | float)]
            others = [choice for choice in choices if not isinstance(choice, int | float)]
            return *others, *dict.fromkeys([min(numbers), max(numbers)] if numbers else [])
        case FloatDistribution(low=low, high=high) | IntDistribution(low=low, high=high):
            return low, high
    raise TypeError(f"unsupported distribution {distribution!r}")


# Reading the search file. `path` is the key that a message names.


def _families(registry: Registry[C], given: Any, path: str) -> tuple[Family[C], ...]:
    # Sorted, because Optuna takes the same choices in another order for another parameter.
    proposed = (name for name, cls in registry.items() if cls.SEARCHED)
    options = dict.fromkeys(proposed) if given is None else _mapping(given, path)
    if not options:
        raise ValueError(f"{path}: name at least one of {', '.join(registry)}, or leave {path} out for all")
    _known(options, registry, path, registry.what)
    return tuple(_family(registry[name], name, options[name], f"{path}.{name}") for name in sorted(options))


def _grids(given: Any) -> tuple[Family[Grid], ...]:
    """The grids named, with their names as prefixes; one karras with the prefix `grid` if none is."""
    if isinstance(given, Mapping) and any(name in GRIDS for name in given):
        return _families(GRIDS, given, "space.grid")
    return (_family(GRIDS["karras"], "grid", given, "space.grid"),)


def _check_grid(
    family: Family[Grid],
    noise: tuple[Family[NoiseDistribution], ...],
    curricula: tuple[Family[Curriculum], ...],
) -> None:
    """Refuse a grid with too few levels for a corner of a curriculum, and a law that has no mass on it at a corner."""
    for options in family.corners():
        grid = family.cls(**options)
        for curriculum in curricula:
            with _blaming(f"space.grid.{family.prefix}"):
                for others in curriculum.corners():
                    check_levels(grid, curriculum.cls(**others))
        for law in noise:
            with _blaming(f"space.noise.{law.prefix}"):
                for others in law.corners():
                    check_mass(grid, law.cls(**others))


@contextmanager
def _blaming(path: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _floor(given: Any) -> float | BaseDistribution:
    path = "space.uniform_floor"
    floor: float | BaseDistribution = _single(_option(float, None, given, path))
    with _blaming(path):
        for value in _corners(floor) if isinstance(floor, BaseDistribution) else (floor,):
            check_floor(value)
    return floor


def _family(cls: type[C], prefix: str, given: Any, path: str) -> Family[C]:
    options = _mapping({} if given is None else given, path)
    defaults = {field.name: field.default for field in dataclasses.fields(cls)}
    _known(options, defaults, path, "option")
    hints = typing.get_type_hints(cls)
    fixed: dict[str, Any] = {}
    free: dict[str, BaseDistribution] = {}
    for name, default in defaults.items():
        read: Any = cls.SPACE.get(name, default)
        if name in options:
            read = _option(hints[name], cls.SPACE.get(name), options[name], f"{path}.{name}")
        read = _single(read)
        if isinstance(read, BaseDistribution):
            free[name] = read
        else:
            fixed[name] = read
    family = Family(prefix, cls, fixed, free)
    _check_corners(family, path)
    return family


def _option(hint: Any, default: BaseDistribution | None, given: Any, path: str) -> Any:
    """The value of type `hint`, or the distribution, that `given` describes."""
    if not isinstance(given, Mapping):
        return _typed(hint, given, path)
    if "choices" in given:
        _known(given, ("choices",), path, "key beside `choices`")
        choices = given["choices"]
        if not isinstance(choices, list | tuple) or not choices:
            raise ValueError(f"{path}.choices: a list of values is needed, but got {choices!r:.60}")
        typed = [_typed(hint, value, f"{path}.choices") for value in choices]
        if any(value in typed[:i] for i, value in enumerate(typed)):
            raise ValueError(f"{path}.choices: a value stands there twice: {typed!r:.60}")
        return CategoricalDistribution(typed)
    return _range(hint, given, default, path)


def _range(
    hint: Any, given: Mapping[str, Any], default: BaseDistribution | None, path: str
) -> BaseDistribution:
    kinds = {hint, *typing.get_args(hint)}  # {int | None, int, NoneType} for an optional one
    number: Any = float if float in kinds else int if int in kinds else None
    if number is None:
        raise ValueError(f"{path}: is not a number and takes no range; give a value or `choices`")
    _known(given, ("low", "high", "log", "step"), path, "key of a range")
    for key in ("low", "high"):
        if key not in given:
            raise ValueError(f"{path}: a range needs `low` and `high`, but got {dict(given)!r:.60}")
    low, high = (_typed(number, given[key], f"{path}.{key}") for key in ("low", "high"))
    step = _typed(number, given["step"], f"{path}.step") if "step" in given else None
    if "log" in given:
        log = _typed(bool, given["log"], f"{path}.log")
    else:
        log = step is None and bool(getattr(default, "log", False))
    if not low <= high:
        raise ValueError(f"{path}: `low <= high` must hold, but got low={low}, high={high}")
    if log and not low > 0:
        raise ValueError(f"{path}: `low > 0` must hold with `log: true`, but got low={low}")
    if step is not None:
        if log:
            raise ValueError(f"{path}: `step` and `log: true` cannot be combined")
        if not step > 0 or not _on_step(high - low, step):
            raise ValueError(
                f"{path}: `high - low` must be a multiple of `step > 0`, "
                f"but got low={low}, high={high}, step={step}"
            )
    if number is float:
        return FloatDistribution(low, high, log=log, step=step)
    return IntDistribution(low, high, log=log, step=1 if step is None else step)


def _check_corners(family: Family[Any], path: str) -> None:
    """Refuse a space of which the class would refuse a corner, naming the option that is to blame."""
    for options in family.corners():
        try:
            family.cls(**options)
        except ValueError as error:
            blamed = [name for name in options if _accepts(family.cls, {**options, name: None})]
            where = f"{path}.{blamed[0]}" if len(blamed) == 1 else path
            raise ValueError(f"{where}: {error}") from None


def _accepts(cls: type[Choice], options: Mapping[str, Any]) -> bool:
    """Whether the class takes the options that are not None, the others at their defaults."""
    try:
        cls(**{name: value for name, value in options.items() if value is not None})
    except ValueError:
        return False
    return True


@lru_cache(maxsize=64)
def _type_adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint, config=STRICT)


def _typed(hint: Any, value: Any, path: str) -> Any:
    if isinstance(value, list):  # in a file; a strict tuple wants one
        value = tuple(value)
    try:
        return _type_adapter(hint).validate_python(value)
    except ValidationError as error:
        raise ValueError(one_line(error, path)) from None


def _mapping(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{path}: a mapping is needed, but got {value!r:.60}")
    return value


def _known(keys: Mapping[str, Any], known: Collection[str], path: str, what: str) -> None:
    for key in keys:
        if key not in known:
            raise ValueError(f"{path}: unknown {what} {key!r:.60}. Known: {', '.join(known)}")
