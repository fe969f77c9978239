"""What a search file may say: strict models, every default filled in, every impossible value refused.

`load_spec` reads a file; all that is wrong with it comes back at once, one line for each problem:
`searches/x.yaml:12: training.batch_size: must be > 0, but got -3`.

A choice (`data`, `network`, `algorithm`, `stopping`, the extractor) is `{name: ..., options...}` or just
its name; the options are the fields of the class in the file of that name.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from search.evidence.race import RaceRules
from search.file.choices import (
    AlgorithmChoice,
    DataChoice,
    ExtractorChoice,
    NetworkChoice,
    Space,
    StoppingChoice,
    Training,
    checked_presets,
    checked_space,
    checked_training,
    registry_of,
)
from search.file.identity import IDENTITY
from search.file.messages import NAME, UNKNOWN_FIELD, Misfit, flatten, shown, unknown_field
from search.file.values import (
    SERVICE,
    checked_mlflow_uri,
    checked_name,
    checked_nfe,
    checked_rounds,
    checked_storage,
    checked_study_url,
    device_share,
    gpu_share,
    same_database,
)
from search.file.yaml12 import Document, Place, Problem, SpecError, read_document, resolve_scalar
from search.machine.places import local_root
from search.machine.service import needed_service
from spaces import PRESETS
from spaces.registry import name_of
from spaces.schedule import check_values
from trainable.storage.location import is_bucket, under


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
    """When the search ends: whichever comes first. Confirmation runs are not counted as trials, but as time."""

    max_trials: int | None = Field(
        default=24, ge=1, le=1_000_000
    )  # presets counted; null: as the time allows
    max_hours: float | None = Field(default=None, gt=0)  # wall-clock, while the search runs
    max_cpu_hours: float | None = Field(
        default=None, gt=0
    )  # of slices: resources.cpu for an hour costs that much
    max_gpu_hours: float | None = Field(default=None, gt=0)

    @property
    def is_timed(self) -> bool:
        """Whether there is a limit of time."""
        return (self.max_hours, self.max_cpu_hours, self.max_gpu_hours) != (None, None, None)


class NoiseFloor(_Section):
    """How the noise between seeds is measured: the first preset on fresh seeds, before anything is proposed."""

    seeds: int = Field(default=3, ge=0, le=1000)


class Confirm(_Section):
    """What is retrained on fresh seeds before a winner is named: a race in rounds."""

    top: int = Field(default=4, ge=0, le=100)  # the best trials
    baselines: int = Field(default=2, ge=0, le=100)  # and the best presets besides
    rounds: Annotated[list[int], AfterValidator(checked_rounds)] = Field(default_factory=lambda: [2, 4, 8])
    max_trials: int | None = Field(default=None, ge=2, le=1_000_000)  # the race ends before it exceeds them

    @model_validator(mode="after")
    def _nothing_at_all(self) -> Self:
        if self.top == 0 and "baselines" not in self.model_fields_set:
            self.__dict__["baselines"] = 0  # `top: 0` alone means no confirmation
        return self

    @property
    def rules(self) -> RaceRules | None:
        """The race, None where nothing is confirmed."""
        if self.top == 0 and self.baselines == 0:
            return None
        return RaceRules(
            top=self.top, baselines=self.baselines, rounds=tuple(self.rounds), max_trials=self.max_trials
        )


class Sampling(_Section):
    """Sampling levels that are optimised for the winner when the search is over."""

    nfe: Annotated[
        list[int], AfterValidator(checked_nfe)
    ] = []  # numbers of network evaluations, none: not at all


class Resources(_Section):
    """What one trial gets, and how many may run at once."""

    cpu: Annotated[float, BeforeValidator(device_share)] = 1.0
    gpu: Annotated[float, BeforeValidator(gpu_share)] = 0.0  # of a card: 1/n, or whole ones
    max_concurrent: int | None = Field(default=None, ge=1, le=100_000)  # None: as many as fit
    # Images that go through the network at once, None: the whole batch. Fewer need less memory and more time; the
    # training is the same up to rounding.
    micro_batch: int | None = Field(default=None, ge=1)

    def trials_on(self, cpus: float, gpus: float) -> int:
        """How many trials a machine with so much has room for."""
        by_cpu = math.floor(cpus / self.cpu + 1e-6) if self.cpu else math.inf
        by_gpu = math.inf
        if 0 < self.gpu < 1:  # of each card, what is left is nobody's
            by_gpu = math.floor(gpus) * math.floor(1 / self.gpu)
        elif self.gpu:
            by_gpu = math.floor(gpus / self.gpu)
        return int(min(by_cpu, by_gpu))


class Storage(_Section):
    """Where results are kept. `path`: a folder, relative to the current directory, or s3://BUCKET/PATH, gs://BUCKET/PATH
    for what the trials keep; the rest is then in the state folder of this machine. `study_url`, `mlflow_uri`: without a
    password, which PGPASSWORD or ~/.pgpass and MLFLOW_TRACKING_PASSWORD give."""

    path: Annotated[str, AfterValidator(checked_storage)] = "runs"
    study_url: Annotated[str, AfterValidator(checked_study_url)] | None = None
    mlflow_uri: Annotated[str, AfterValidator(checked_mlflow_uri)] | None = None


def _default_network(fields: dict[str, Any]) -> Any:
    return registry_of("network").build("film_mlp" if name_of(fields["data"]) == "digits" else "unet")


def _default(what: str, name: str) -> Callable[[], Any]:
    return lambda: registry_of(what).build(name)


class SearchSpec(_Section):
    """One search. Only `name` and `data` have no default."""

    name: Annotated[str, AfterValidator(checked_name)] = Field(pattern=NAME)
    seed: int = Field(default=0, ge=0, lt=2**31)
    data: DataChoice
    network: NetworkChoice = Field(default_factory=_default_network)
    training: Training = Field(default_factory=lambda: checked_training({}))
    objective: Annotated[Objective, BeforeValidator(_nothing_is_defaults)] = Objective()
    space: Space = Field(default_factory=lambda: checked_space({}))
    presets: Annotated[list[str], AfterValidator(checked_presets)] = Field(default_factory=lambda: ["ict"])
    algorithm: AlgorithmChoice = Field(default_factory=_default("algorithm", "density_gp"))
    stopping: StoppingChoice = Field(default_factory=_default("stopping", "asha"))
    noise_floor: Annotated[NoiseFloor, BeforeValidator(_nothing_is_defaults)] = NoiseFloor()
    audit: float = Field(default=0.05, ge=0, le=1)  # share of the condemned trials that run on to the end
    equal_schedules: Literal["ask_again", "replicate", "train"] = "ask_again"  # as one that was trained
    budget: Annotated[Budget, BeforeValidator(_nothing_is_defaults)] = Budget()
    confirm: Annotated[Confirm, BeforeValidator(_nothing_is_defaults)] = Confirm()
    sampling: Annotated[Sampling, BeforeValidator(_nothing_is_defaults)] = Sampling()
    resources: Annotated[Resources, BeforeValidator(_nothing_is_defaults)] = Resources()
    storage: Annotated[Storage, BeforeValidator(_nothing_is_defaults)] = Storage()

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.objective.extractor is None:
            extractor = registry_of("extractor").build(type(self.data).EXTRACTOR)
            # The model is frozen for its users; this is still its construction.
            self.__dict__["objective"] = self.objective.model_copy(update={"extractor": extractor})
        items = [
            *self._rung_problems(),
            *self._extractor_problems(),
            *self._export_problems(),
            *self._budget_problems(),
            *self._storage_problems(),
        ]
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

    def _extractor_problems(self) -> Iterator[tuple[Place, str]]:
        extractor, data = self.objective.extractor, name_of(self.data)
        if extractor is not None and extractor.DATA not in (None, data):
            yield (
                ("objective", "extractor"),
                (
                    f"must suit the data set {data}, but {name_of(extractor)} is for {extractor.DATA} alone. Leave it "
                    "out, or take small_cnn (any labelled data set) or pixels (any)"
                ),
            )

    def _export_problems(self) -> Iterator[tuple[Place, str]]:
        """What it finds must fit into an export; that is told before it is trained, not after."""
        total_steps = self.training.total_steps
        for curriculum, message in self.space.too_large(total_steps):
            yield ("space", "curriculum", curriculum), message
        for index, name in enumerate(self.presets):
            try:
                check_values(PRESETS[name].schedule.curriculum, total_steps)
            except ValueError as error:
                yield ("presets", index), str(error)

    def _budget_problems(self) -> Iterator[tuple[Place, str]]:
        budget, confirm = self.budget, self.confirm
        if budget.max_trials is None and not budget.is_timed:
            yield (
                ("budget", "max_trials"),
                "must be a number unless max_hours, max_cpu_hours or max_gpu_hours ends the search, but got null",
            )
        for limit, slice_name in (("max_cpu_hours", "cpu"), ("max_gpu_hours", "gpu")):
            if getattr(budget, limit) is not None and getattr(self.resources, slice_name) == 0:
                yield ("budget", limit), f"would have no effect with resources.{slice_name}=0. Leave it out"
        if budget.max_trials is not None:
            if len(self.presets) > budget.max_trials:
                yield (
                    ("presets",),
                    (
                        f"must fit into budget.max_trials={budget.max_trials}, but are {len(self.presets)}. "
                        "Raise the one or shorten the other"
                    ),
                )
            if confirm.top > budget.max_trials:
                yield (
                    ("confirm", "top"),
                    (
                        f"must be <= budget.max_trials={budget.max_trials}, but got {confirm.top}. "
                        "There are no more trials to confirm"
                    ),
                )
        if confirm.rules is None:
            for option in ("rounds", "max_trials"):
                if option in confirm.model_fields_set:
                    yield (
                        ("confirm", option),
                        "would have no effect with confirm.top=0 and confirm.baselines=0. Leave it out",
                    )
        elif confirm.max_trials is not None and confirm.max_trials < confirm.rules.first_trials:
            yield (
                ("confirm", "max_trials"),
                (
                    f"must be >= {confirm.rules.first_trials}, (top + baselines) times the seeds of the first round, "
                    f"but got {confirm.max_trials}: nothing would be confirmed. Raise it or lower the others"
                ),
            )
        if self.stopping.USES_NOISE and not (self.presets and self.noise_floor.seeds):
            yield (
                ("stopping", "name"),
                (
                    f"{registry_of('stopping').describe(self.stopping)['name']!r} needs the noise between seeds, which "
                    "is measured on a preset: name one in `presets` and let noise_floor.seeds be > 0"
                ),
            )
        if self.noise_floor.seeds and "seeds" in self.noise_floor.model_fields_set and not self.presets:
            yield ("noise_floor", "seeds"), "would have no effect without presets. Name one or leave it out"
        if self.resources.cpu == 0 and self.resources.gpu == 0:
            yield ("resources", "cpu"), "must be > 0 when gpu is 0, but got 0: a trial runs on something"
        micro_batch, batch_size = self.resources.micro_batch, self.training.batch_size
        if micro_batch is not None and micro_batch > batch_size:
            yield (
                ("resources", "micro_batch"),
                f"must be <= training.batch_size={batch_size}, but got {micro_batch}. Leave it out",
            )

    def _storage_problems(self) -> Iterator[tuple[Place, str]]:
        if SERVICE in (self.storage.study_url, self.storage.mlflow_uri):
            return  # `serve` keeps its two apart
        if same_database(self.study_url_resolved, self.mlflow_uri_resolved):
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
        """Where this search keeps its files on the driver's machine: storage.path/name, absolute."""
        return self._root / self.name

    @property
    def trials(self) -> str:
        """Location (`trainable/storage/location.py`) of what the trials keep: `folder`, or the same in a bucket."""
        return under(self.storage.path, self.name) if is_bucket(self.storage.path) else str(self.folder)

    @property
    def _root(self) -> Path:
        return local_root(self.storage.path)

    @property
    def study_url_resolved(self) -> str:
        """SQLAlchemy URL of the Optuna study; that of the head's service has its password in it."""
        if self.storage.study_url == SERVICE:
            return needed_service().study_url
        return self.storage.study_url or f"sqlite:///{self.folder / 'study.db'}"

    @property
    def mlflow_uri_resolved(self) -> str:
        """MLflow tracking URI; by default one SQLite file for all searches in storage.path."""
        if self.storage.mlflow_uri == SERVICE:
            return needed_service().mlflow_uri
        return self.storage.mlflow_uri or f"sqlite:///{self._root / 'mlflow.db'}"

    def resolved(self) -> dict[str, Any]:
        """Everything with its default filled in: plain dict, list, str, int, float, bool and None.

        The same for equal searches, in every process. Reads back to an equal search; no secret is in it.
        """
        confirm = self.confirm.model_dump() if self.confirm.rules else {"top": 0, "baselines": 0}
        extractor = registry_of("extractor").describe(self.objective.extractor)
        plain: dict[str, Any] = _plain(
            {
                "name": self.name,
                "seed": self.seed,
                "data": registry_of("data").describe(self.data),
                "network": registry_of("network").describe(self.network),
                "training": self.training.to_dict(),
                "objective": {"extractor": extractor, "num_samples": self.objective.num_samples},
                "space": self.space.to_dict(),
                "presets": self.presets,
                "algorithm": registry_of("algorithm").describe(self.algorithm),
                "stopping": registry_of("stopping").describe(self.stopping),
                "noise_floor": self.noise_floor.model_dump(),
                "audit": self.audit,
                "equal_schedules": self.equal_schedules,
                "budget": self.budget.model_dump(),
                "confirm": confirm,
                "sampling": self.sampling.model_dump(),
                "resources": self.resources.model_dump(),
                "storage": self.storage.model_dump(),
            }
        )
        return plain

    def to_yaml(self) -> str:
        """`resolved()` as a search file."""
        return yaml.dump(self.resolved(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)

    def fingerprint_fields(self) -> dict[str, Any]:
        """The part of `resolved()` that makes this search this search; see IDENTITY."""
        resolved = self.resolved()
        # Where the files of the data lie is free; what they are, a checksum in the study tells.
        resolved["data"].pop("root", None)
        return {field: resolved[field] for field in IDENTITY}


def load_spec(path: str | Path) -> SearchSpec:
    """The search in the file at `path`. Raises SpecError with every problem found, one line for each."""
    return spec_of(read_document(path))


def spec_of(document: Document) -> SearchSpec:
    """The search that a YAML document describes. Raises SpecError."""
    if not isinstance(document.data, dict):
        got = "is empty" if document.data is None else f"is {shown(document.data)}"
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
        for place, message, kind in flatten(error):
            if kind in UNKNOWN_FIELD:
                message = unknown_field(place[-1], _fields_at(place[:-1]))
            problems.append(document.problem(place, message))
        raise SpecError(problems) from None


def _fields_at(place: Place) -> list[str]:
    """The fields of the model at `place` in a SearchSpec."""
    model: Any = SearchSpec
    for part in place:
        model = model.model_fields[str(part)].annotation
    return list(model.model_fields)


# Plain data and YAML


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
