"""What may stand in the fields of a search file: registered choices, device slices, database URLs."""

import copy
import dataclasses
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import PlainValidator, ValidationError

from search.algorithm import ALGORITHMS, Algorithm
from search.file.messages import UNKNOWN_FIELD, Misfit, did_you_mean, flatten, shown, unknown_field
from search.file.yaml12 import Place
from search.stopping_rule import STOPPING, StoppingRule
from spaces import PRESETS, SearchSpace
from spaces.registry import Registry, validated
from trainable.dataset import DATASETS, Dataset
from trainable.extractor import EXTRACTORS, Extractor
from trainable.network import NETWORKS, Network
from trainable.optimizer_strategy import OPTIMIZER_STRATEGIES
from trainable.training.config import TrainingConfig

_REGISTRIES: Mapping[str, Registry[Any]] = {
    "data": DATASETS,
    "network": NETWORKS,
    "extractor": EXTRACTORS,
    "optimizer_strategy": OPTIMIZER_STRATEGIES,
    "algorithm": ALGORITHMS,
    "stopping": STOPPING,
}


def registry_of(what: str) -> Registry[Any]:
    """The choices for a field."""
    return _REGISTRIES[what]


def _built(build: Callable[[Any], Any], cls: type, given: Mapping[str, Any]) -> Any:
    """`build(given)`, with its errors turned into Misfits that name the option."""
    items: list[tuple[Place, str]] = []
    while True:
        try:
            built = build(given)
        except ValidationError as error:
            faulty: set[str | int] = set()
            for place, message, kind in flatten(error):
                if kind in UNKNOWN_FIELD:
                    message = unknown_field(place[-1], [field.name for field in dataclasses.fields(cls)])
                place = place or _named(message, given)
                if not items or place:
                    items.append((place, message))
                faulty.update(place[:1])
            # A wrong type hides the rules of the class: look at these without the faulty options.
            rest = {key: value for key, value in given.items() if key not in faulty}
            if len(rest) == len(given):
                raise Misfit(*items) from error
            given = rest
        else:
            if items:
                raise Misfit(*items)
            return built


def _named(message: str, given: Mapping[str, Any]) -> Place:
    """The one option that a message about the whole speaks of, if it is one."""
    named = [key for key in given if key != "name" and re.search(rf"\b{re.escape(key)}\b", message)]
    return (named[0],) if len(named) == 1 else ()


def _chosen(what: str, value: Any) -> Any:
    """The registered choice that `value` names or describes."""
    registry = registry_of(what)
    if isinstance(value, registry.base):
        return value
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a name or a mapping with a `name`, but got {shown(value)}")
    name, known = value.get("name"), ", ".join(registry)
    if "name" not in value:
        got = f"only the options {shown(list(value))}" if value else "an empty mapping"
        raise ValueError(f"must have the `name` of a {registry.what} ({known}), but got {got}")
    if not isinstance(name, str):
        raise Misfit((("name",), f"must name a {registry.what}: {known}, but got {shown(name)}"))
    if name not in registry:
        hint, where = did_you_mean(name, registry), registry.package.replace(".", "/")
        message = f"unknown {registry.what} {shown(name)}{hint}. Known: {', '.join(registry)}"
        raise Misfit((("name",), f"{message}. Add one in {where}/"))
    return _built(registry.build, registry[name], value)


def _choice(what: str) -> Any:
    """Validator of a field that holds a registered choice."""
    return PlainValidator(partial(_chosen, what))


def checked_training(value: Any) -> Any:
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
        training = _built(lambda fields: validated(TrainingConfig, fields), TrainingConfig, given)
    except Misfit as error:
        items += error.items
    if items:
        raise Misfit(*items)
    return training


def checked_space(value: Any) -> Any:
    if isinstance(value, SearchSpace):
        return value
    given = copy.deepcopy(dict(_mapping(value)))
    items: list[tuple[Place, str]] = []
    while True:
        try:
            space = SearchSpace.from_mapping(given)
        except ValueError as error:
            place, message = _in_space(str(error), given)
            items.append((place, message))
            # It stops at its first problem: go on without the part that has it.
            if not _drop(given, place):
                raise Misfit(*items) from error
        else:
            if items:
                raise Misfit(*items)
            return space


def _in_space(message: str, given: Mapping[str, Any]) -> tuple[Place, str]:
    """`space.noise.lognormal.p_std: rule` -> (("noise", "lognormal", "p_std"), "rule")."""
    match = re.match(r"space((?:\.[\w-]+)*): ", message)
    if match is None:
        return (), message
    place: list[str] = []
    at: Any = given
    for part in match[1].split(".")[1:]:
        if not isinstance(at, Mapping) or part not in at:
            break
        place.append(part)
        at = at[part]
    rest = message[match.end() :]
    unknown = re.match(r"unknown [\w ]+ '([^']*)'", rest)
    if unknown and isinstance(at, Mapping) and unknown[1] in at:
        place.append(unknown[1])
    return tuple(place), rest


def _drop(given: dict[str, Any], place: Place) -> bool:
    """Remove the option, or all around it, at `place`; False if there is nothing to remove."""
    # What stands inside an option goes with it: a range without its `low` would be a new problem.
    place = place[: 2 if place[:1] == ("grid",) else 3]
    if not place:
        return False
    at: Any = given
    for part in place[:-1]:
        at = at[part]
    del at[place[-1]]
    if not at and len(place) > 1:  # nor is a family list that became empty
        _drop(given, place[:-1])
    return True


def _mapping(value: Any) -> Mapping[str, Any]:
    if value is None:  # `training:` with nothing below it
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a mapping, but got {shown(value)}")
    return value


def checked_presets(names: list[str]) -> list[str]:
    items: list[tuple[Place, str]] = []
    for index, name in enumerate(names):
        if name not in PRESETS:
            hint = did_you_mean(name, PRESETS)
            items.append(((index,), f"unknown preset {shown(name)}{hint}. Known: {', '.join(PRESETS)}"))
        elif name in names[:index]:
            items.append(((index,), f"must be given once, but {name!r} is given twice"))
    if items:
        raise Misfit(*items)
    return names


if TYPE_CHECKING:  # the types hold for readers and mypy; at run time pydantic takes the validators
    DataChoice = Dataset
    NetworkChoice = Network
    ExtractorChoice = Extractor
    AlgorithmChoice = Algorithm
    StoppingChoice = StoppingRule
    Training = TrainingConfig
    Space = SearchSpace
else:
    DataChoice = Annotated[Any, _choice("data")]
    NetworkChoice = Annotated[Any, _choice("network")]
    ExtractorChoice = Annotated[Any, _choice("extractor")]
    AlgorithmChoice = Annotated[Any, _choice("algorithm")]
    StoppingChoice = Annotated[Any, _choice("stopping")]
    Training = Annotated[Any, PlainValidator(checked_training)]
    Space = Annotated[Any, PlainValidator(checked_space)]
