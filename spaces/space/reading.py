"""Reads the space section of a search file."""

import dataclasses
import typing
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import TypeAdapter, ValidationError

from spaces.checks import check_floor, check_levels, check_mass
from spaces.choice import Choice
from spaces.curriculum import Curriculum
from spaces.grid import GRIDS, Grid
from spaces.noise_distribution import NoiseDistribution
from spaces.registry import STRICT, Registry, complaint, name_of
from spaces.space.distributions import corners, on_step, single_value
from spaces.space.family import C, Family
from spaces.space.least_ends import LeastEnds
from spaces.space.problems import Place, SpaceError, SpaceProblem, all_refusals, refusal, text_of


def read_families(registry: Registry[C], given: Any, place: Place) -> tuple[Family[C], ...]:
    proposed = (name for name, cls in registry.items() if cls.SEARCHED)
    options = dict.fromkeys(proposed) if given is None else checked_mapping(given, place)
    return _families(registry, options, place, "all", "")


def read_unusual(
    registry: Registry[C], usual: C, sections: Mapping[str, Any], part: str
) -> tuple[Family[C], ...]:
    """The families named for a part that is `usual` where the space does not name it."""
    if part not in sections:
        return (Family(f"{part}.{name_of(usual)}", type(usual), dataclasses.asdict(usual), {}),)
    options = {} if sections[part] is None else checked_mapping(sections[part], (part,))
    return _families(registry, options, (part,), name_of(usual), f"{part}.")


def _families(
    registry: Registry[C], options: Mapping[str, Any], place: Place, otherwise: str, prefix: str
) -> tuple[Family[C], ...]:
    if not options:
        names = ", ".join(registry)
        raise refusal(place, f"name at least one of {names}, or leave {text_of(place)} out for {otherwise}")
    # Sorted, because Optuna takes the same choices in another order for another parameter.
    families = []
    with all_refusals() as refusals:
        with refusals.of():
            check_known(options, registry, place, registry.what)
        for name in sorted(options.keys() & registry.keys()):
            with refusals.of():
                families.append(read_family(registry[name], f"{prefix}{name}", options[name], (*place, name)))
    return tuple(families)


def read_grids(given: Any) -> tuple[Family[Grid], ...]:
    """The grids named, with their names as prefixes; one karras with the prefix `grid` if none is."""
    if isinstance(given, Mapping) and any(name in GRIDS for name in given):
        return read_families(GRIDS, given, ("grid",))
    return (read_family(GRIDS["karras"], "grid", given, ("grid",)),)


def check_together(
    grids: tuple[Family[Grid], ...],
    noise: tuple[Family[NoiseDistribution], ...],
    curricula: tuple[Family[Curriculum], ...],
) -> None:
    """Refuse a grid with too few levels for a corner of a curriculum, and a law that has no mass on it at a corner."""
    with all_refusals() as refusals:
        for family in grids:
            for options in family.corners():
                grid = family.cls(**options)
                with refusals.of("grid", family.prefix):
                    for curriculum in curricula:
                        for others in curriculum.corners():
                            check_levels(grid, curriculum.cls(**others))
                for law in noise:
                    with refusals.of("noise", law.prefix):
                        for others in law.corners():
                            check_mass(grid, law.cls(**others))


def read_floor(given: Any) -> float | BaseDistribution:
    place = ("uniform_floor",)
    floor: float | BaseDistribution = single_value(_option(float, None, given, place))
    with all_refusals() as refusals, refusals.of(*place):
        for value in corners(floor) if isinstance(floor, BaseDistribution) else (floor,):
            check_floor(value)
    return floor


def read_least_ends(given: Any) -> LeastEnds | None:
    if given is None:
        return None
    place = ("ends",)
    with all_refusals() as refusals, refusals.of(*place):
        options = checked_mapping(given, place)
        check_known(options, ("share", "low", "high"), place, "option")
        return LeastEnds.from_mapping(options)


def read_family(cls: type[C], prefix: str, given: Any, place: Place) -> Family[C]:
    options = checked_mapping({} if given is None else given, place)
    defaults = {field.name: field.default for field in dataclasses.fields(cls)}
    hints = typing.get_type_hints(cls)
    fixed: dict[str, Any] = {}
    free: dict[str, BaseDistribution] = {}
    with all_refusals() as refusals:
        with refusals.of():
            check_known(options, defaults, place, "option")
        for name, default in defaults.items():
            read: Any = cls.SPACE.get(name, default)
            if name in options:
                with refusals.of():
                    read = _option(hints[name], cls.SPACE.get(name), options[name], (*place, name))
            read = single_value(read)
            (free if isinstance(read, BaseDistribution) else fixed)[name] = read
        family = Family(prefix, cls, fixed, free)
        with refusals.of():
            _check_corners(family, place)
    return family


def _option(hint: Any, default: BaseDistribution | None, given: Any, place: Place) -> Any:
    """The value of type `hint`, or the distribution, that `given` describes."""
    if not isinstance(given, Mapping):
        return _typed(hint, given, place)
    if "choices" in given:
        check_known(given, ("choices",), place, "key beside `choices`")
        return _one_of_choices(hint, given["choices"], (*place, "choices"))
    return _range(hint, given, default, place)


def _one_of_choices(hint: Any, choices: Any, place: Place) -> BaseDistribution:
    if not isinstance(choices, list | tuple) or not choices:
        raise refusal(place, f"a list of values is needed, but got {choices!r:.60}")
    typed = [_typed(hint, value, place) for value in choices]
    if not all(value is None or isinstance(value, bool | int | float | str) for value in typed):
        raise refusal(place, "choices must be numbers, texts, true, false or null; a list can only be fixed")
    if any(value in typed[:i] for i, value in enumerate(typed)):
        raise refusal(place, f"a value stands there twice: {typed!r:.60}")
    return CategoricalDistribution(typed)


def _range(
    hint: Any, given: Mapping[str, Any], default: BaseDistribution | None, place: Place
) -> BaseDistribution:
    kinds = {hint, *typing.get_args(hint)}  # {int | None, int, NoneType} for an optional one
    number: Any = float if float in kinds else int if int in kinds else None
    if number is None:
        raise refusal(place, "is not a number and takes no range; give a value or `choices`")
    check_known(given, ("low", "high", "log", "step"), place, "key of a range")
    for key in ("low", "high"):
        if key not in given:
            raise refusal(place, f"a range needs `low` and `high`, but got {dict(given)!r:.60}")
    low, high = (_typed(number, given[key], (*place, key)) for key in ("low", "high"))
    step = _typed(number, given["step"], (*place, "step")) if "step" in given else None
    if "log" in given:
        log = _typed(bool, given["log"], (*place, "log"))
    else:
        log = step is None and bool(getattr(default, "log", False))
    if not low <= high:
        raise refusal(place, f"`low <= high` must hold, but got low={low}, high={high}")
    if log and not low > 0:
        raise refusal(place, f"`low > 0` must hold with `log: true`, but got low={low}")
    if step is not None:
        if log:
            raise refusal(place, "`step` and `log: true` cannot be combined")
        if not step > 0 or not on_step(high - low, step):
            raise refusal(
                place,
                f"`high - low` must be a multiple of `step > 0`, but got low={low}, high={high}, step={step}",
            )
    if number is float:
        return FloatDistribution(low, high, log=log, step=step)
    return IntDistribution(low, high, log=log, step=1 if step is None else step)


def _check_corners(family: Family[Any], place: Place) -> None:
    """Refuse a space of which the class would refuse a corner, naming the option that is to blame."""
    for options in family.corners():
        try:
            family.cls(**options)
        except ValueError as error:
            blamed = [name for name in options if _accepts(family.cls, {**options, name: None})]
            raise refusal((*place, *blamed) if len(blamed) == 1 else place, str(error)) from None


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


def _typed(hint: Any, value: Any, place: Place) -> Any:
    if isinstance(value, list):  # in a file; a strict tuple wants one
        value = tuple(value)
    try:
        return _type_adapter(hint).validate_python(value)
    except ValidationError as error:
        at, rule = complaint(error)
        raise refusal((*place, *at), rule) from None


def checked_mapping(value: Any, place: Place) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise refusal(place, f"a mapping is needed, but got {value!r:.60}")
    return value


def check_known(keys: Mapping[str, Any], known: Collection[str], place: Place, what: str) -> None:
    unknown = [str(key) for key in keys if key not in known]
    problems = [
        SpaceProblem(place, f"unknown {what} {key!r:.60}. Known: {', '.join(known)}", key) for key in unknown
    ]
    if problems:
        raise SpaceError(*problems)
