"""What a search file may say: strict models, every default filled in, every impossible value refused.

`load_spec` reads a file; all that is wrong with it comes back at once, one line for each problem:
`searches/x.yaml:12: training.batch_size: must be > 0, but got -3`.

A choice (`data`, `network`, `algorithm`, `stopping`, the extractor) is `{name: ..., options...}` or just
its name; the options are the fields of the class in the file of that name.
"""

import copy
import dataclasses
import difflib
import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    model_validator,
)

from search.yaml_loader import Document, Place, Problem, SpecError, field_name, read_document, resolve_scalar

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"

# Which fields make it another search when they change. What is left out may change between two runs:
# how much is done (budget, confirm), on what (resources) and where it is kept (storage).
IDENTITY = (
    "name",
    "seed",
    "data",
    "network",
    "training",
    "objective",
    "space",
    "presets",
    "algorithm",
    "stopping",
)


class Misfit(ValueError):
    """Problems inside one value: where (below it) and what."""

    def __init__(self, *items: tuple[Place, str]):
        self.items = items
        super().__init__("; ".join(message for _, message in items))


# --- what stands in a field -----------------------------------------------------------------------


def _registry(what: str) -> "Registry[Any]":
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
            for place, message, kind in _flatten(error):
                if kind in _UNKNOWN:
                    message = _unknown(place[-1], [field.name for field in dataclasses.fields(cls)])
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


def _choice(what: str) -> Any:
    """Validator of a field that holds a registered choice."""

    def validate(value: Any) -> Any:
        registry = _registry(what)
        if isinstance(value, registry.base):
            return value
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, Mapping):
            raise ValueError(f"must be a name or a mapping with a `name`, but got {_shown(value)}")
        name = value.get("name")
        if not isinstance(name, str):
            known = ", ".join(registry)
            got = f", but got {_shown(name)}" if "name" in value else ""
            raise Misfit((("name",), f"must name a {registry.what}: {known}{got}"))
        if name not in registry:
            hint, where = _did_you_mean(name, registry), registry.package.replace(".", "/")
            message = f"unknown {registry.what} {_shown(name)}{hint}. Known: {', '.join(registry)}"
            raise Misfit((("name",), f"{message}. Add one in {where}/"))
        return _built(registry.build, registry[name], value)

    return PlainValidator(validate)


def _training(value: Any) -> Any:
    from spaces.registry import validated
    from trainable.training import TrainingConfig

    if isinstance(value, TrainingConfig):
        return value
    return _built(lambda given: validated(TrainingConfig, given), TrainingConfig, _mapping(value))


def _space(value: Any) -> Any:
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
        raise ValueError(f"must be a mapping, but got {_shown(value)}")
    return value


def _presets(names: list[str]) -> list[str]:
    from spaces import PRESETS

    items: list[tuple[Place, str]] = []
    for index, name in enumerate(names):
        if name not in PRESETS:
            hint = _did_you_mean(name, PRESETS)
            items.append(((index,), f"unknown preset {_shown(name)}{hint}. Known: {', '.join(PRESETS)}"))
        elif name in names[:index]:
            items.append(((index,), f"must be given once, but {name!r} is given twice"))
    if items:
        raise Misfit(*items)
    return names


_ONE_NTH = re.compile(r"1/([1-9][0-9]{0,2})")


def _slice(value: Any) -> Any:
    """A number of devices: 0, 1, 2, ... or 1/n of one ("1/3" works too). To 4 decimals, as Ray counts.

    0.3333 is three to a card. What would strand more than 2 % of a card is refused: Ray places two
    trials of 0.4 on a card and leaves 20 % of it to nobody.
    """
    if isinstance(value, str) and (match := _ONE_NTH.fullmatch(value)):
        value = 1 / int(match[1])
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"must be a number or a share such as 1/3, but got {_shown(value)}")
    if not 0 <= value <= 4096:
        raise ValueError(f"must be from 0 to 4096, but got {_shown(value)}")
    if value == int(value):
        return float(value)
    if value > 1:
        below = math.floor(value)
        raise ValueError(f"must be a whole number above 1, but got {value:g}. Nearest: {below}, {below + 1}")
    if value < 0.001:
        raise ValueError(f"must be 0 or at least 0.001, but got {value:g}")
    share = math.floor(1 / value + 1e-6)
    if 1 - share * value > 0.0200001:
        nearest = f"{_nth(share + 1):g} ({share + 1} to a device), {_nth(share):g} ({share} to a device)"
        stranded = round(100 * (1 - share * value))
        raise ValueError(
            f"must be 1/n or a whole number, but got {value:g}, which leaves {stranded} % of each device to "
            f"nobody. Nearest: {nearest}"
        )
    return _nth(share)


def _nth(n: int) -> float:
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
            f"must be {what}, but got {_shown(re.sub(r':[^:]*@', ':***@', url))}. "
            "Example: postgresql+psycopg2://user@host/database"
        ) from None
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ValueError("must be kept in a file, but a SQLite database in memory is lost at the end")
    return parsed


def _study_url(url: str) -> str:
    parsed = _url(url, "a database URL as SQLAlchemy reads them")
    if parsed.drivername == "postgresql":
        raise ValueError(
            "must name the driver, but got postgresql:// (SQLAlchemy and Optuna disagree on its default). "
            "Write postgresql+psycopg2:// or postgresql+psycopg://"
        )
    return url


def _mlflow_uri(uri: str) -> str:
    if re.match(r"https?://[^/\s]+", uri):
        return uri
    if uri.startswith("file:") or "://" not in uri:
        raise ValueError(
            f"must be a database URL or http(s)://, but got {_shown(uri)}: "
            "MLflow has given up plain folders. Leave it out, or write sqlite:///PATH"
        )
    _url(uri, "a database URL or an http(s) address")
    return uri


def _folder(path: str) -> str:
    if not path.strip() or re.search(r"[\x00-\x1f?#%]", path):
        raise ValueError(f"must be a folder without ? # % and control characters, but got {_shown(path)}")
    return path


def _same_database(one: str, other: str) -> bool:
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


def hide_password(url: str) -> str:
    """`url` with its password replaced by ***: search files are logged and shown."""
    # In a web address a later @ belongs to the path; SQLAlchemy takes a password with / in it.
    password = r"[^/\s]+" if url.startswith("http") else r".+"
    return re.sub(rf"(://[^/:@\s]*:){password}@", r"\1***@", url)


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
    Training = Annotated[Any, PlainValidator(_training)]
    Space = Annotated[Any, PlainValidator(_space)]


# --- the models -----------------------------------------------------------------------------------


class _Section(BaseModel):
    model_config = ConfigDict(
        strict=True, extra="forbid", allow_inf_nan=False, frozen=True, revalidate_instances="always"
    )


def _nothing_is_defaults(value: Any) -> Any:
    """`budget:` with nothing below it means its defaults, as if it were left out."""
    return {} if value is None else value


class Objective(_Section):
    """What is minimised: the Frechet distance between the features of samples and of real images."""

    extractor: ExtractorChoice | None = None  # None: the one that the data set names
    num_samples: int = Field(default=2000, ge=2, le=1_000_000)  # images per distance


class Budget(_Section):
    """When the search ends."""

    max_trials: int = Field(default=24, ge=1, le=1_000_000)  # presets counted, confirmation runs not


class Confirm(_Section):
    """What is retrained on fresh seeds before a winner is named."""

    top: int = Field(default=3, ge=0, le=100)  # the best trials, and the best baseline besides; 0: none
    seeds: int = Field(default=5, ge=2, le=1000)  # fresh seeds for each of them, the same for all


class Resources(_Section):
    """What one trial gets, and how many may run at once."""

    cpu: Annotated[float, BeforeValidator(_slice)] = 1.0
    gpu: Annotated[float, BeforeValidator(_slice)] = 0.0
    max_concurrent: int | None = Field(default=None, ge=1, le=100_000)  # None: as many as fit


class Storage(_Section):
    """Where results are kept. `path` is relative to the current directory."""

    path: Annotated[str, AfterValidator(_folder)] = "runs"
    study_url: Annotated[str, AfterValidator(_study_url)] | None = None
    mlflow_uri: Annotated[str, AfterValidator(_mlflow_uri)] | None = None


def _default_network(fields: dict[str, Any]) -> Any:
    from spaces.registry import name_of

    return _registry("network").build("film_mlp" if name_of(fields["data"]) == "digits" else "unet")


def _default(what: str, name: str) -> Callable[[], Any]:
    return lambda: _registry(what).build(name)


class SearchSpec(_Section):
    """One search. Only `name` and `data` have no default."""

    name: str = Field(pattern=NAME)
    seed: int = Field(default=0, ge=0, lt=2**31)
    data: DataChoice
    network: NetworkChoice = Field(default_factory=_default_network)
    training: Training = Field(default_factory=lambda: _training({}))
    objective: Annotated[Objective, BeforeValidator(_nothing_is_defaults)] = Objective()
    space: Space = Field(default_factory=lambda: _space({}))
    presets: Annotated[list[str], AfterValidator(_presets)] = Field(default_factory=lambda: ["ict"])
    algorithm: AlgorithmChoice = Field(default_factory=_default("algorithm", "same_rung_tpe"))
    stopping: StoppingChoice = Field(default_factory=_default("stopping", "asha"))
    budget: Annotated[Budget, BeforeValidator(_nothing_is_defaults)] = Budget()
    confirm: Annotated[Confirm, BeforeValidator(_nothing_is_defaults)] = Confirm()
    resources: Annotated[Resources, BeforeValidator(_nothing_is_defaults)] = Resources()
    storage: Annotated[Storage, BeforeValidator(_nothing_is_defaults)] = Storage()

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.objective.extractor is None:
            extractor = _registry("extractor").build(type(self.data).EXTRACTOR)
            # The model is frozen for its users; this is still its construction.
            self.__dict__["objective"] = self.objective.model_copy(update={"extractor": extractor})
        items = [*self._rung_problems(), *self._budget_problems(), *self._storage_problems()]
        if items:
            raise Misfit(*items)
        return self

    def _rung_problems(self) -> Iterator[tuple[Place, str]]:
        total_steps = self.training.total_steps
        steps = (0, *self.stopping.steps(total_steps))
        if any(before >= after for before, after in itertools.pairwise(steps)):
            yield (
                ("stopping", "rungs"),
                (
                    f"must be apart, but of training.total_steps={total_steps} they are the steps "
                    f"{', '.join(map(str, steps[1:]))} (the last is the full budget). "
                    "Leave out rungs or train longer"
                ),
            )

    def _budget_problems(self) -> Iterator[tuple[Place, str]]:
        max_trials = self.budget.max_trials
        if len(self.presets) > max_trials:
            yield (
                ("presets",),
                (
                    f"must fit into budget.max_trials={max_trials}, but are {len(self.presets)}. "
                    "Raise the one or shorten the other"
                ),
            )
        if self.confirm.top > max_trials:
            yield (
                ("confirm", "top"),
                (
                    f"must be <= budget.max_trials={max_trials}, but got {self.confirm.top}. "
                    "There are no more trials to confirm"
                ),
            )
        if self.confirm.top == 0 and "seeds" in self.confirm.model_fields_set:
            yield ("confirm", "seeds"), "would have no effect with confirm.top=0. Leave it out"
        if self.resources.cpu == 0 and self.resources.gpu == 0:
            yield ("resources", "cpu"), "must be > 0 when gpu is 0, but got 0: a trial runs on something"

    def _storage_problems(self) -> Iterator[tuple[Place, str]]:
        if _same_database(self.study_url_resolved, self.mlflow_uri_resolved):
            place: Place = ("storage", "mlflow_uri" if self.storage.mlflow_uri else "study_url")
            yield (
                place,
                (
                    "study_url and mlflow_uri must be two databases, but are one: Optuna and MLflow break "
                    "each other's tables there. Leave one out or name another database"
                ),
            )

    @property
    def folder(self) -> Path:
        """Where this search keeps its files: storage.path/name, absolute."""
        return self._root / self.name

    @property
    def _root(self) -> Path:
        return Path(self.storage.path).expanduser().absolute()

    @property
    def study_url_resolved(self) -> str:
        """SQLAlchemy URL of the Optuna study."""
        return self.storage.study_url or f"sqlite:///{self.folder / 'study.db'}"

    @property
    def mlflow_uri_resolved(self) -> str:
        """MLflow tracking URI; by default one SQLite file for all searches in storage.path."""
        return self.storage.mlflow_uri or f"sqlite:///{self._root / 'mlflow.db'}"

    def resolved(self, *, passwords: bool = False) -> dict[str, Any]:
        """Everything with its default filled in: plain dict, list, str, int, float, bool and None.

        The same for equal searches, in every process. Reads back to an equal search, but for passwords
        in URLs, which are *** unless `passwords`: this text is logged and shown.
        """
        storage = self.storage.model_dump()
        if not passwords:
            storage = {key: hide_password(value) if value else value for key, value in storage.items()}
        confirm = self.confirm.model_dump() if self.confirm.top else {"top": 0}
        extractor = _registry("extractor").describe(self.objective.extractor)
        plain: dict[str, Any] = _plain(
            {
                "name": self.name,
                "seed": self.seed,
                "data": _registry("data").describe(self.data),
                "network": _registry("network").describe(self.network),
                "training": dataclasses.asdict(self.training),
                "objective": {"extractor": extractor, "num_samples": self.objective.num_samples},
                "space": self.space.to_dict(),
                "presets": self.presets,
                "algorithm": _registry("algorithm").describe(self.algorithm),
                "stopping": _registry("stopping").describe(self.stopping),
                "budget": self.budget.model_dump(),
                "confirm": confirm,
                "resources": self.resources.model_dump(),
                "storage": storage,
            }
        )
        return plain

    def to_yaml(self, *, passwords: bool = False) -> str:
        """`resolved()` as a search file."""
        return yaml.dump(
            self.resolved(passwords=passwords), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100
        )

    def fingerprint_fields(self) -> dict[str, Any]:
        """The part of `resolved()` that makes this search this search; see IDENTITY."""
        resolved = self.resolved()
        # Where the files of the data lie is free; what they are, a checksum in the study tells.
        resolved["data"].pop("root", None)
        return {field: resolved[field] for field in IDENTITY}


def changed_fields(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Names of the fields that differ between two `fingerprint_fields()`, as "training.batch_size"."""

    def differences(one: Any, other: Any, place: Place) -> Iterator[str]:
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            # Another choice has other options: its name says enough.
            if place and one.get("name") != other.get("name"):
                yield field_name((*place, "name"))
                return
            for key in dict.fromkeys([*one, *other]):
                if key not in one or key not in other:
                    yield field_name((*place, key))
                else:
                    yield from differences(one[key], other[key], (*place, key))
        elif one != other or type(one) is not type(other):
            yield field_name(place)

    return list(differences(old, new, ()))


def load_spec(path: str | Path) -> SearchSpec:
    """The search in the file at `path`. Raises SpecError with every problem found, one line for each."""
    return spec_of(read_document(path))


def spec_of(document: Document) -> SearchSpec:
    """The search that a YAML document describes. Raises SpecError."""
    if not isinstance(document.data, dict):
        got = "is empty" if document.data is None else f"is {_shown(document.data)}"
        message = f"must be a mapping with at least `name` and `data`, but {got}"
        raise SpecError([document.problem((), message)])
    return _validated(document.data, document)


def overridden(spec: SearchSpec, changes: Mapping[str, Any]) -> SearchSpec:
    """`spec` with e.g. {"budget.max_trials": 8}, checked like a file. Raises SpecError."""
    fields = {name: getattr(spec, name) for name in SearchSpec.model_fields}
    for path, value in changes.items():
        section, _, field = path.partition(".")
        fields[section] = fields[section].model_copy(update={field: value}) if field else value
    return _validated(fields, Document("command line", fields, {}))


def _validated(data: Any, document: Document) -> SearchSpec:
    try:
        return SearchSpec.model_validate(data)
    except ValidationError as error:
        problems: list[Problem] = []
        for place, message, kind in _flatten(error):
            if kind in _UNKNOWN:
                message = _unknown(place[-1], _fields_at(place[:-1]))
            problems.append(document.problem(place, message))
        raise SpecError(problems) from None


# --- wording --------------------------------------------------------------------------------------

_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
_TYPES = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "int_parsing": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dataclass_type": "a mapping",
    "dataclass_exact_type": "a mapping",
    "finite_number": "finite",
    "none_required": "left out",
}
_LIMITS = {"greater_than": ">", "greater_than_equal": ">=", "less_than": "<", "less_than_equal": "<="}
_LIMIT_KEYS = {"greater_than": "gt", "greater_than_equal": "ge", "less_than": "lt", "less_than_equal": "le"}


def _flatten(error: ValidationError) -> Iterator[tuple[Place, str, str]]:
    """(place, message, pydantic's kind) of everything in `error`, nested Misfits taken apart."""
    for entry in error.errors(include_url=False):
        place = tuple(entry["loc"])
        inner = entry.get("ctx", {}).get("error")
        if entry["type"] == "default_factory_not_called":
            continue  # its cause, an error in the field that the default follows, is reported itself
        if isinstance(inner, Misfit):
            for below, message in inner.items:
                yield (*place, *below), message, "misfit"
        elif isinstance(inner, ValidationError):
            for below, message, kind in _flatten(inner):
                yield (*place, *below), message, kind
        else:
            yield place, _message(entry), entry["type"]


def _message(entry: Any) -> str:
    """Rule and value of one pydantic error, in one line."""
    kind, value, context = entry["type"], entry["input"], entry.get("ctx", {})
    if kind == "missing":
        return "is required, but is missing"
    if kind in _LIMITS:
        return f"must be {_LIMITS[kind]} {context[_LIMIT_KEYS[kind]]:g}, but got {_shown(value)}"
    if kind in _TYPES:
        return f"must be {_TYPES[kind]}, but got {_shown(value)}{_hint(kind, value)}"
    if kind == "string_pattern_mismatch":
        if context["pattern"] == NAME:
            rule = "1 to 64 letters, digits and any of _ . - (first a letter or digit)"
        else:
            rule = f"text like {context['pattern']}"
        return f"must be {rule}, but got {_shown(value)}"
    if kind == "literal_error":
        return f"must be {context['expected']}, but got {_shown(value)}"
    if kind == "value_error":
        return " ".join(str(context["error"]).split())
    message = " ".join(entry["msg"].split())
    return f"{message[:1].lower()}{message[1:]}, but got {_shown(value)}"


def _hint(kind: str, value: Any) -> str:
    """The likely remedy for a value of the wrong type."""
    if kind.startswith("int") and isinstance(value, float) and value == int(value):
        return f" (write {int(value)})"
    if kind.startswith(("int", "float")) and isinstance(value, str):
        try:
            number = resolve_scalar(value.strip().replace("_", ""))
        except ValueError:
            return ""
        if isinstance(number, int | float) and not isinstance(number, bool):
            return f" (write {number})"
    if kind.startswith("bool") and isinstance(value, str) and value.lower() in ("yes", "no", "on", "off"):
        return f" (write {'true' if value.lower() in ('yes', 'on') else 'false'})"
    return ""


def _shown(value: Any) -> str:
    """A value in a message: one line, never long."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _did_you_mean(word: object, known: Any) -> str:
    close = difflib.get_close_matches(str(word), [str(name) for name in known], n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _unknown(key: object, known: Any) -> str:
    names = ", ".join(str(name) for name in known)
    if not names:
        return "unknown field. There are no options here"
    return f"unknown field{_did_you_mean(key, known)}. Known: {names}"


def _fields_at(place: Place) -> list[str]:
    """The fields of the model at `place` in a SearchSpec."""
    model: Any = SearchSpec
    for part in place:
        model = model.model_fields[str(part)].annotation
    return list(model.model_fields)


# --- plain data and YAML --------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """Only dict, list, str, int, float, bool and None, copied."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, PurePath):
        return str(value)
    assert value is None or isinstance(value, str | int | float | bool), f"not plain data: {value!r}"
    return value


class _Dumper(yaml.SafeDumper):
    """PyYAML quotes what YAML 1.1 would misread; this one also what our YAML 1.2 reader would."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    try:
        plain = resolve_scalar(text) == text
    except ValueError:
        plain = False
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else "'")


_Dumper.add_representer(str, _represent_text)
