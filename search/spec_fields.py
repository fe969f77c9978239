"""What may stand in the fields of a search file: registered choices, device slices, database URLs."""

import copy
import dataclasses
import itertools
import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import PlainValidator, ValidationError

from search.spec_messages import UNKNOWN_FIELD, Misfit, did_you_mean, flatten, shown, unknown_field
from search.urls import hide_password, shown_url
from search.yaml_loader import Place
from spaces.registry import Registry


def registry_of(what: str) -> "Registry[Any]":
    """The choices for a field. Imported here, late: torch takes a second that `--help` should not."""
    if what == "data":
        from trainable.dataset import DATASETS

        return DATASETS
    if what == "network":
        from trainable.network import NETWORKS

        return NETWORKS
    if what == "extractor":
        from trainable.extractor import EXTRACTORS

        return EXTRACTORS
    if what == "optimizer_strategy":
        from trainable.optimizer_strategy import OPTIMIZER_STRATEGIES

        return OPTIMIZER_STRATEGIES
    if what == "algorithm":
        from search.algorithm import ALGORITHMS

        return ALGORITHMS
    assert what == "stopping", what
    from search.stopping_rule import STOPPING

    return STOPPING


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
    from spaces.registry import validated
    from trainable.training import TrainingConfig

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
    from spaces import SearchSpace

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


# What stands beside the searches in their storage path, and MLflow's own experiment, whose files go elsewhere.
_TAKEN = ("mlflow.db", "mlflow.db-wal", "mlflow.db-shm", "mlflow-artifacts", "errors", "Default")


def checked_name(name: str) -> str:
    if name in _TAKEN:
        raise ValueError(
            f"must be none of {', '.join(_TAKEN)}, which stand for something else, but got {name!r}"
        )
    if name.endswith((".yaml", ".yml", ".json")):
        raise ValueError(
            "must not end in .yaml, .yml or .json, since every command takes that for a file, but got "
            f"{name!r} (write {name.rpartition('.')[0]})"
        )
    return name


def checked_presets(names: list[str]) -> list[str]:
    from spaces import PRESETS

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


def checked_rounds(rounds: list[int]) -> list[int]:
    if not rounds or rounds[0] < 2 or any(a >= b for a, b in itertools.pairwise(rounds)) or rounds[-1] > 1000:
        raise ValueError(f"must be increasing numbers of seeds from 2 to 1000, but got {shown(rounds)}")
    return rounds


def checked_nfe(numbers: list[int]) -> list[int]:
    if any(not 2 <= number <= 10 for number in numbers) or len(set(numbers)) < len(numbers):
        raise ValueError(
            f"must be different numbers of network evaluations from 2 to 10, but got {shown(numbers)}"
        )
    return sorted(numbers)


_ONE_NTH = re.compile(r"1/([1-9][0-9]{0,2})")


def device_share(value: Any) -> Any:
    """A number of devices: 0, 1, 2, ... or 1/n of one ("1/3" works too). To 4 decimals, as Ray counts.

    0.3333 is three to a card. What would strand more than 2 % of a card is refused: Ray places two
    trials of 0.4 on a card and leaves 20 % of it to nobody.
    """
    if isinstance(value, str) and (match := _ONE_NTH.fullmatch(value)):
        value = 1 / int(match[1])
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"must be a number or a share such as 1/3, but got {shown(value)}")
    if not 0 <= value <= 4096:
        raise ValueError(f"must be from 0 to 4096, but got {shown(value)}")
    if value == int(value):
        return float(value)
    if value > 1:
        below = math.floor(value)
        raise ValueError(f"must be a whole number above 1, but got {value:g}. Nearest: {below}, {below + 1}")
    if value < 0.001:
        raise ValueError(f"must be 0 or at least 0.001, but got {value:g}")
    share = math.floor(1 / value + 1e-6)
    if 1 - share * value > 0.0200001:
        nearest = (
            f"{one_nth(share + 1):g} ({share + 1} to a device), {one_nth(share):g} ({share} to a device)"
        )
        stranded = round(100 * (1 - share * value))
        raise ValueError(
            f"must be 1/n or a whole number, but got {value:g}, which leaves {stranded} % of each device to "
            f"nobody. Nearest: {nearest}"
        )
    return one_nth(share)


# The clients that NVIDIA's MPS takes for one GPU; far before it the CUDA contexts have taken the memory.
MOST_TO_A_GPU = 48


def gpu_share(value: Any) -> Any:
    """A number of GPUs, as `device_share`; at most 48 trials share one."""
    share = device_share(value)
    if 0 < share < one_nth(MOST_TO_A_GPU):
        raise ValueError(
            f"must be at least 1/{MOST_TO_A_GPU}, but got {shown(value)}: each trial has a CUDA context of some "
            f"hundred MiB. Nearest: {one_nth(MOST_TO_A_GPU):g} ({MOST_TO_A_GPU} to a device), or 0 for the CPU"
        )
    return share


def one_nth(n: int) -> float:
    """1/n rounded down to 4 decimals, so that n of them fit."""
    return math.floor(1e4 / n) / 1e4


def _url(url: str, what: str) -> Any:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        parsed = make_url(url)
        parsed.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise ValueError(
            f"must be {what}, but got {shown(shown_url(url))}. "
            "Example: postgresql+psycopg2://user@host/database"
        ) from None
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ValueError("must be kept in a file, but a SQLite database in memory is lost at the end")
    return parsed


# In place of a URL: the database, or the MLflow server, that `serve` runs on this machine.
SERVICE = "service"


def _no_password(url: str, remedy: str) -> None:
    """The search file is kept beside the results, shown and sent to MLflow, and searches are found through it."""
    hidden = hide_password(url)
    if "***" in hidden:  # also of a file that an earlier version kept
        raise ValueError(
            f"must not hold a password, since search files are kept and shown, but got {hidden}. {remedy}"
        )


# What reads the password of a database instead.
_DATABASE_PASSWORD = (
    "Leave it out: PostgreSQL's client looks into PGPASSWORD and ~/.pgpass, MySQL's into the file that "
    "?read_default_file= names"
)


def checked_study_url(url: str) -> str:
    if url == SERVICE:
        return url
    parsed = _url(url, "a database URL as SQLAlchemy reads them")
    _no_password(url, _DATABASE_PASSWORD)
    if parsed.drivername == "postgresql":
        raise ValueError(
            "must name the driver, but got postgresql:// (SQLAlchemy and Optuna disagree on its default). "
            "Write postgresql+psycopg2:// or postgresql+psycopg://"
        )
    return url


def checked_mlflow_uri(uri: str) -> str:
    if uri == SERVICE:
        return uri
    if re.match(r"https?://[^/\s]+", uri):
        _no_password(
            uri, "Leave it out: MLflow looks into MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
        return uri
    if uri.startswith("file:") or "://" not in uri:
        raise ValueError(
            f"must be a database URL or http(s)://, but got {shown(shown_url(uri))}: "
            "MLflow has given up plain folders. Leave it out, or write sqlite:///PATH"
        )
    _url(uri, "a database URL or an http(s) address")
    _no_password(uri, _DATABASE_PASSWORD)
    return uri


def checked_storage(path: str) -> str:
    """A folder, or the URL of a place in a bucket."""
    from trainable.bucket import BucketUrl
    from trainable.storage import is_bucket

    if is_bucket(path):
        return str(BucketUrl.parse(path))
    if not path.strip() or re.search(r"[\x00-\x1f?#%]", path):
        raise ValueError(f"must be a folder without ? # % and control characters, but got {shown(path)}")
    return path


def same_database(one: str, other: str) -> bool:
    from sqlalchemy.engine import make_url

    if re.match(r"https?://", other):
        return False

    def key(url: str) -> tuple[Any, ...]:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return ("sqlite", str(Path(parsed.database or "").resolve()))
        host = "localhost" if parsed.host in (None, "", "127.0.0.1", "::1") else parsed.host
        # Two schemas of one PostgreSQL database may be told apart by `?options=-csearch_path%3Doptuna`.
        options = str(parsed.query.get("options"))
        ports = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}
        backend = parsed.get_backend_name()
        return (backend, host, parsed.port or ports.get(backend), parsed.database, options)

    return key(one) == key(other)


if TYPE_CHECKING:  # the types hold for readers and mypy; at run time they would import torch
    from search.algorithm import Algorithm as AlgorithmChoice
    from search.stopping_rule import StoppingRule as StoppingChoice
    from spaces import SearchSpace as Space
    from spaces.registry import Registry
    from trainable.dataset import Dataset as DataChoice
    from trainable.extractor import Extractor as ExtractorChoice
    from trainable.network import Network as NetworkChoice
    from trainable.training import TrainingConfig as Training
else:
    DataChoice = Annotated[Any, _choice("data")]
    NetworkChoice = Annotated[Any, _choice("network")]
    ExtractorChoice = Annotated[Any, _choice("extractor")]
    AlgorithmChoice = Annotated[Any, _choice("algorithm")]
    StoppingChoice = Annotated[Any, _choice("stopping")]
    Training = Annotated[Any, PlainValidator(checked_training)]
    Space = Annotated[Any, PlainValidator(checked_space)]
