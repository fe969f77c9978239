"""What may stand in a field of a search file that holds a choice, the training or the space."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import PlainValidator, ValidationError, ValidationInfo

from search.file.kinds import registry_of
from search.file.messages import UNKNOWN_FIELD, Misfit, did_you_mean, flatten, shown, unknown_field
from search.file.paths import placed
from search.file.yaml_walk import Place
from spaces import SearchSpace
from spaces.registry import option_name, validated
from spaces.space.problems import SpaceError
from trainable.training.config import TrainingConfig

# A choice that is known by one of its options: by the field, that option and the name.
_UNNAMED = {"network": ("file", "own")}


def choice(field: str) -> PlainValidator:
    """Validator of a field that holds a registered choice, for `Annotated`.

    The context of the validation may have the `folder` of the search file, in which files are that a choice names.
    """

    def chosen(value: Any, info: ValidationInfo) -> Any:
        return placed(_chosen(field, value), (info.context or {}).get("folder"))

    return PlainValidator(chosen)


def _chosen(field: str, value: Any) -> Any:
    """The registered choice that `value` names or describes."""
    registry = registry_of(field)
    if isinstance(value, registry.base):
        return value
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a name or a mapping with a `name`, but got {shown(value)}")
    option, unnamed = _UNNAMED.get(field, ("", ""))
    if "name" not in value and option in value:
        value = {"name": unnamed, **value}
    name, known = value.get("name"), ", ".join(registry)
    if "name" not in value:
        got = f"only the options {shown(list(value))}" if value else "an empty mapping"
        raise ValueError(f"must have the `name` of a {registry.what} ({known}), but got {got}")
    if not isinstance(name, str):
        raise Misfit((("name",), f"must name a {registry.what}: {known}, but got {shown(name)}"))
    if name not in registry:
        hint, where = did_you_mean(name, registry), registry.package.replace(".", "/")
        message = f"unknown {registry.what} {shown(name)}{hint}. Known: {known}. Add one in {where}/"
        if option:
            message += f", or name a file of yours: {field}: {{file: my_net.py, class: MyNet}}"
        raise Misfit((("name",), message))
    return _built(registry[name], {key: option for key, option in value.items() if key != "name"})


def _built(cls: type, options: Mapping[str, Any], cleared: Collection[str] = ()) -> Any:
    """`cls` with these options. Raises Misfit with all that is wrong with them; `cleared` are not to blame."""
    items: list[tuple[Place, str]] = []
    while True:
        try:
            built: Any = validated(cls, options)
        except ValidationError as error:
            faulty: set[str | int] = set()
            for fields, message, kind in flatten(error):
                place: Place = tuple(option_name(part) if isinstance(part, str) else part for part in fields)
                if kind in UNKNOWN_FIELD:
                    known = [option_name(field.name) for field in dataclasses.fields(cls)]
                    message = unknown_field(place[-1], known)
                place = place or _blamed(cls, options, cleared)
                if (not items or place) and (place, message) not in items:
                    items.append((place, message))
                faulty.update(place[:1])
            # A wrong type hides the rules of the class: look at these without the faulty options.
            rest = {key: value for key, value in options.items() if key not in faulty}
            if len(rest) == len(options):
                raise Misfit(*items) from error
            options = rest
        else:
            if items:
                raise Misfit(*items)
            return built


def _blamed(cls: type, options: Mapping[str, Any], cleared: Collection[str]) -> Place:
    """The one option without which `cls` says something else, or nothing; () if there are more or none.

    A rule of the class is a plain ValueError about all of it: which option it is about, only trying tells.
    """
    said = _refusal(cls, options)
    blamed = [
        option
        for option in options
        if option not in cleared
        and _refusal(cls, {key: value for key, value in options.items() if key != option}) != said
    ]
    return (blamed[0],) if len(blamed) == 1 else ()


def _refusal(cls: type, options: Mapping[str, Any]) -> str | None:
    try:
        validated(cls, options)
    except ValidationError as error:
        return "; ".join(message for _, message, _ in flatten(error))
    return None


def checked_training(value: Any) -> TrainingConfig:
    if isinstance(value, TrainingConfig):
        return value
    given = dict(_mapping(value))
    items: list[tuple[Place, str]] = []
    try:
        _chosen("optimizer_strategy", given.get("optimizer_strategy", "constant"))
    except ValueError as error:
        below = error.items if isinstance(error, Misfit) else (((), str(error)),)
        items += [(("optimizer_strategy", *place), message) for place, message in below]
        del given["optimizer_strategy"]
    try:
        training: TrainingConfig = _built(TrainingConfig, given, cleared={"optimizer_strategy"})
    except Misfit as error:
        items += error.items
    if items:
        raise Misfit(*items)
    return training


def checked_space(value: Any) -> SearchSpace:
    if isinstance(value, SearchSpace):
        return value
    try:
        return SearchSpace.from_mapping(_mapping(value))
    except SpaceError as error:
        raise Misfit(*((problem.full_place, problem.rule) for problem in error.problems)) from error


def _mapping(value: Any) -> Mapping[str, Any]:
    if value is None:  # `training:` with nothing below it
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a mapping, but got {shown(value)}")
    return value
