"""Reads the space section of a search file."""

import dataclasses
import typing
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import TypeAdapter, ValidationError

from spaces.choice import Choice
from spaces.curriculum import Curriculum
from spaces.grid import GRIDS, Grid
from spaces.noise_distribution import NoiseDistribution
from spaces.registry import STRICT, Registry, one_line
from spaces.schedule import check_floor, check_levels, check_mass
from spaces.space.distributions import (
    corners,
    on_step,
    single_value,
)
from spaces.space.family import C, Family


def read_families(registry: Registry[C], given: Any, path: str) -> tuple[Family[C], ...]:
    # Sorted, because Optuna takes the same choices in another order for another parameter.
    proposed = (name for name, cls in registry.items() if cls.SEARCHED)
    options = dict.fromkeys(proposed) if given is None else checked_mapping(given, path)
    if not options:
        raise ValueError(f"{path}: name at least one of {', '.join(registry)}, or leave {path} out for all")
    check_known(options, registry, path, registry.what)
    return tuple(_family(registry[name], name, options[name], f"{path}.{name}") for name in sorted(options))


def read_grids(given: Any) -> tuple[Family[Grid], ...]:
    """The grids named, with their names as prefixes; one karras with the prefix `grid` if none is."""
    if isinstance(given, Mapping) and any(name in GRIDS for name in given):
        return read_families(GRIDS, given, "space.grid")
    return (_family(GRIDS["karras"], "grid", given, "space.grid"),)


def check_grid(
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


def read_floor(given: Any) -> float | BaseDistribution:
    path = "space.uniform_floor"
    floor: float | BaseDistribution = single_value(_option(float, None, given, path))
    with _blaming(path):
        for value in corners(floor) if isinstance(floor, BaseDistribution) else (floor,):
            check_floor(value)
    return floor


def _family(cls: type[C], prefix: str, given: Any, path: str) -> Family[C]:
    options = checked_mapping({} if given is None else given, path)
    defaults = {field.name: field.default for field in dataclasses.fields(cls)}
    check_known(options, defaults, path, "option")
    hints = typing.get_type_hints(cls)
    fixed: dict[str, Any] = {}
    free: dict[str, BaseDistribution] = {}
    for name, default in defaults.items():
        read: Any = cls.SPACE.get(name, default)
        if name in options:
            read = _option(hints[name], cls.SPACE.get(name), options[name], f"{path}.{name}")
        read = single_value(read)
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
        check_known(given, ("choices",), path, "key beside `choices`")
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
    check_known(given, ("low", "high", "log", "step"), path, "key of a range")
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
        if not step > 0 or not on_step(high - low, step):
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


def checked_mapping(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{path}: a mapping is needed, but got {value!r:.60}")
    return value


def check_known(keys: Mapping[str, Any], known: Collection[str], path: str, what: str) -> None:
    for key in keys:
        if key not in known:
            raise ValueError(f"{path}: unknown {what} {key!r:.60}. Known: {', '.join(known)}")
