"""The search file: its sections together, every default filled in, every impossible value refused.

`load_spec` reads a file; all that is wrong with it comes back at once, one line for each problem:
`searches/x.yaml:12: training.batch_size: must be > 0, but got -3`.

A choice (`data`, `network`, `algorithm`, `stopping`, the extractor) is `{name: ..., options...}` or just
its name; the options are the fields of the class in the file of that name.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, ValidationError, model_validator

from search.algorithm import ALGORITHMS, Algorithm
from search.file import rules
from search.file.choices import checked_space, checked_training, choice
from search.file.features import features_of
from search.file.holds import (
    AnySetting,
    HoldsAt,
    HoldsAtField,
    ScriptSetting,
    SettingSpec,
    script_settings_of,
    settings_of,
    written_out,
)
from search.file.identity import FREE
from search.file.measures import Measures, MeasuresField, default_judges
from search.file.messages import NAME, UNKNOWN_FIELD, Misfit, flatten, shown, unknown_field
from search.file.model import Section
from search.file.plugins import checked_plugins
from search.file.presets import checked_presets, schedules_of, usual_presets
from search.file.sections import (
    Budget,
    Confirm,
    NoiseFloor,
    Objective,
    Resources,
    Sampling,
    Storage,
    Tracking,
    nothing_is_defaults,
)
from search.file.start import StartSection, broken
from search.file.trained_by import (
    data_of_trainer,
    default_network,
    families,
    network_of_trainer,
    section_of_trainer,
    space_of_trainer,
    training_of_trainer,
)
from search.file.values import SERVICE, checked_name
from search.file.writing import plain, yaml_of
from search.file.yaml12 import Document, Problem, SpecError, read_document
from search.file.yaml_walk import Place
from search.machine.search_folders import local_root
from search.machine.service import needed_service
from search.machine.sqlite_url import sqlite_url
from search.stopping_rule import STOPPING, StoppingRule
from spaces import NoiseSchedule, SearchSpace
from trainable.dataset import Dataset
from trainable.extractor import Extractor
from trainable.network import Network
from trainable.storage.location import is_bucket, under
from trainable.task import OWN
from trainable.trainers.command import Command
from trainable.training.config import TrainingConfig
from trainable.trial_trainer import TRAINERS, TrialTrainer


class SearchSpec(Section):
    """One search. Only `name` and `data` have no default; where a script trains, `name` and `trainer`."""

    name: Annotated[str, AfterValidator(checked_name)] = Field(pattern=NAME)
    seed: int = Field(default=0, ge=0, lt=2**31)
    # Before whatever names a choice.
    plugins: Annotated[list[Any], AfterValidator(checked_plugins)] = Field(
        default_factory=list, validate_default=True
    )
    trainer: Annotated[TrialTrainer, choice("trainer")] = Field(
        default_factory=lambda: TRAINERS.build("consistency")
    )
    # None where a script trains, and then network, objective and sampling are at their defaults.
    data: Annotated[Dataset | None, choice("data"), data_of_trainer] = Field(None, validate_default=True)
    network: Annotated[Network | None, choice("network"), network_of_trainer] = Field(
        default_factory=default_network
    )
    training: Annotated[TrainingConfig, PlainValidator(checked_training), training_of_trainer] = (
        TrainingConfig()
    )
    objective: Annotated[Objective, BeforeValidator(nothing_is_defaults), section_of_trainer] = Objective()
    space: Annotated[SearchSpace, PlainValidator(checked_space), space_of_trainer] = Field(
        default_factory=lambda fields: SearchSpace.from_mapping(families(fields))
    )
    presets: Annotated[list[Any], AfterValidator(checked_presets)] = Field(default_factory=usual_presets)
    algorithm: Annotated[Algorithm, choice("algorithm")] = Field(
        default_factory=lambda: ALGORITHMS.build("density_gp")
    )
    stopping: Annotated[StoppingRule, choice("stopping")] = Field(
        default_factory=lambda: STOPPING.build("asha")
    )
    noise_floor: Annotated[NoiseFloor, BeforeValidator(nothing_is_defaults)] = NoiseFloor()
    audit: float = Field(default=0.05, ge=0, le=1)  # share of the condemned trials that run on to the end
    equal_schedules: Literal["ask_again", "replicate", "train"] = "ask_again"  # as one that was trained
    budget: Annotated[Budget, BeforeValidator(nothing_is_defaults)] = Budget()
    confirm: Annotated[Confirm, BeforeValidator(nothing_is_defaults)] = Confirm()
    holds_at: HoldsAtField = HoldsAt()
    start: StartSection | None = None  # None: random weights
    measures: Annotated[MeasuresField, section_of_trainer] = Measures()
    sampling: Annotated[Sampling, BeforeValidator(nothing_is_defaults), section_of_trainer] = Sampling()
    resources: Annotated[Resources, BeforeValidator(nothing_is_defaults)] = Resources()
    storage: Annotated[Storage, BeforeValidator(nothing_is_defaults)] = Storage()
    tracking: Annotated[Tracking, BeforeValidator(nothing_is_defaults)] = Tracking()

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.data is not None and self.objective.extractor is None:
            extractor = features_of(self.data)
            # The model is frozen for its users; this is still its construction.
            self.__dict__["objective"] = self.objective.model_copy(update={"extractor": extractor})
        if unsuited := [*rules.settings_suit_the_trainer(self.holds_at, self.script)]:
            raise Misfit(*unsuited)
        self.__dict__["holds_at"] = written_out(self.holds_at, self.training)
        self.__dict__["measures"] = self.measures.at(self.num_evaluations)
        if self.measures.judges is None and self.data is not None and self.objective.extractor is not None:
            judges = default_judges(self.data, self.objective.extractor, self.objective.num_samples)
            self.__dict__["measures"] = self.measures.model_copy(update={"judges": judges})
        broken = list(self._broken_rules())
        if broken:
            raise Misfit(*broken)
        return self

    def _broken_rules(self) -> rules.Broken:
        yield from rules.rungs_are_apart(self.stopping, self.training)
        if self.data is not None:
            yield from rules.extractor_suits_the_data(self.objective, self.data)
            yield from rules.judges_suit_the_data(self.measures, self.data, self.objective)
        yield from rules.presets_are_sampled_alike(self.baselines, self.num_evaluations)
        yield from rules.sampling_starts_where_is_trained(self.sampling, self.space, self.baselines)
        yield from rules.evaluations_are_those_of_the_sampler(self.measures, self.sampling, self.space)
        if self.script is not None:
            yield from rules.script_has_what_it_needs(self.resources)
            yield from rules.script_gets_fixed_schedules(self.space, self.baselines)
        if (message := broken(self.start, self.space, is_script=self.script is not None)) is not None:
            yield ("start",), message
        elif self.start is not None and (problem := self.start.problem((self.own_setting, *self.settings))):
            yield ("start", "checkpoint"), problem
        yield from rules.exports_hold_every_schedule(self.space, self.baselines, self.training)
        yield from rules.budget_ends_the_search(self.budget, self.resources)
        yield from rules.budget_holds_presets_and_finalists(self.budget, len(self.presets), self.confirm)
        yield from rules.race_has_runners_and_a_first_round(self.confirm)
        if self.settings:
            yield from rules.settings_are_elsewhere(self.settings, self.own_setting)
            yield from rules.settings_suit_the_features(self.settings)
        if self.script_settings:
            yield from rules.settings_are_elsewhere(self.script_settings, self.own_script_setting)
        yield from rules.settings_have_what_is_compared(self.holds_at, len(self.presets), self.confirm)
        yield from rules.settings_hold_every_rung(self.all_settings, self.stopping)
        yield from rules.noise_is_measured_where_it_is_used(
            self.noise_floor, self.stopping, len(self.presets)
        )
        yield from rules.trials_run_on_something(self.resources, self.training)
        if SERVICE not in (self.storage.study_url, self.storage.mlflow_uri):  # `serve` keeps its two apart
            study_url, mlflow_uri = self.study_url_resolved, self.mlflow_uri_resolved
            yield from rules.databases_are_two(self.storage, study_url, mlflow_uri)

    @property
    def script(self) -> Command | None:
        """The script that trains; None: our own training."""
        return self.trainer if isinstance(self.trainer, Command) else None

    @property
    def own_setting(self) -> SettingSpec:
        """What the trials of the search itself are trained in, where no script trains."""
        assert self.data is not None and self.network is not None and self.objective.extractor is not None
        return SettingSpec(
            name=OWN,
            training=self.training,
            network=self.network,
            data=self.data,
            extractor=self.objective.extractor,
        )

    @property
    def baselines(self) -> dict[str, NoiseSchedule]:
        """The schedules of `presets` by name, in their order."""
        return schedules_of(self.presets, self.space)

    @property
    def num_evaluations(self) -> int:
        """Of the network, for a sample by which trials are judged."""
        (loss, *_) = self.space.loss
        return loss.cls(**loss.fixed).num_evaluations if self.space.denoises else 1

    @property
    def settings(self) -> tuple[SettingSpec, ...]:
        """The others, in which a winner must hold too; none where a script trains."""
        return settings_of(self.holds_at, self.own_setting) if self.script is None else ()

    @property
    def own_script_setting(self) -> ScriptSetting:
        """In what a script trains the trials of the search itself, where one does."""
        assert self.script is not None
        return ScriptSetting(name=OWN, training=self.training, trainer=self.script)

    @property
    def script_settings(self) -> tuple[ScriptSetting, ...]:
        """The others, where a script trains."""
        return () if self.script is None else script_settings_of(self.holds_at, self.own_script_setting)

    @property
    def all_settings(self) -> tuple[AnySetting, ...]:
        """The others, whatever trains."""
        return self.settings or self.script_settings

    @property
    def is_measured(self) -> bool:
        """Whether samples are measured: the search ends with a proposal and a preset to compare, and has judges."""
        return bool(self.measures.judges and self.presets and self.confirm.top and self.confirm.baselines)

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
        return self.storage.study_url or sqlite_url(self.folder / "study.db")

    @property
    def mlflow_uri_resolved(self) -> str:
        """MLflow tracking URI; by default one SQLite file for all searches in storage.path."""
        if self.storage.mlflow_uri == SERVICE:
            return needed_service().mlflow_uri
        return self.storage.mlflow_uri or sqlite_url(self._root / "mlflow.db")

    def resolved(self) -> dict[str, Any]:
        """Everything with its default filled in: plain dict, list, str, int, float, bool and None.

        The same for equal searches, in every process. Reads back to an equal search; no secret is in it.
        """
        resolved: dict[str, Any] = plain(self)
        if self.confirm.rules is None:
            resolved["confirm"] = {"top": 0, "baselines": 0}  # the rest would have no effect
        if not self.holds_at.settings:
            del resolved["holds_at"]
        if not self.plugins:
            del resolved["plugins"]
        if self.tracking == Tracking():
            del resolved["tracking"]
        if self.start is None:
            del resolved["start"]
        else:
            resolved["start"] = self.start.resolved()
        if self.script is None:
            del resolved["trainer"]
        else:
            resolved["training"] = {"total_steps": self.training.total_steps}
            for field in ("data", "network", "objective", "measures", "sampling"):
                del resolved[field]
            del resolved["resources"]["micro_batch"], resolved["resources"]["stack"]
        return resolved

    def to_yaml(self) -> str:
        """`resolved()` as a search file."""
        return yaml_of(self.resolved())

    def fingerprint_fields(self) -> dict[str, Any]:
        """The part of `resolved()` that makes this search this search: all but what is FREE."""
        resolved = self.resolved()
        # Where data, features, networks, plugins and scripts lie is free; what they are, checksums in the study tell.
        resolved.get("trainer", {}).pop("folder", None)
        resolved.pop("plugins", None)
        if self.start is not None and self.start.checkpoint is not None:
            resolved["start"] = "checkpoint"
        for described, choice_ in self._with_paths(resolved):
            for option in type(choice_).PATHS:
                described.pop(option)
        fields = {field: value for field, value in resolved.items() if field not in FREE}
        if self.sampling.sigma_start is not None:  # what values are of
            fields["sampling"] = {"sigma_start": self.sampling.sigma_start}
        return fields

    def _with_paths(
        self, resolved: dict[str, Any]
    ) -> Iterator[tuple[dict[str, Any], Dataset | Extractor | Network]]:
        """Choices that may name files, each with its part of what is resolved."""
        if self.script is not None:
            return
        yield resolved["data"], self.own_setting.data
        yield resolved["network"], self.own_setting.network
        yield resolved["objective"]["extractor"], self.own_setting.extractor
        for index, setting in enumerate(self.holds_at.settings):
            for part, choice_ in (("data", setting.data), ("network", setting.network)):
                if choice_ is not None:
                    yield resolved["holds_at"]["settings"][index][part], choice_


def load_spec(path: str | Path) -> SearchSpec:
    """The search in the file at `path`. Raises SpecError with every problem found, one line for each."""
    return spec_of(read_document(path), Path(path).absolute().parent)


def spec_of(document: Document, folder: Path | None = None) -> SearchSpec:
    """The search that a YAML document describes. Raises SpecError. folder: of its file, to which paths are relative."""
    if not isinstance(document.data, dict):
        got = "is empty" if document.data is None else f"is {shown(document.data)}"
        message = f"must be a mapping with at least `name` and `data`, but {got}"
        raise SpecError([document.problem((), message)])
    return _validated(document.data, document, folder)


def overridden(spec: SearchSpec, changes: Mapping[str, Any]) -> SearchSpec:
    """`spec` with e.g. {"budget.max_trials": 8}, checked like a file. Raises SpecError."""
    fields = {name: getattr(spec, name) for name in SearchSpec.model_fields}
    for path, value in changes.items():
        section, _, field = path.partition(".")
        fields[section] = fields[section].model_copy(update={field: value}) if field else value
    return _validated(fields, Document("command line", fields, {}))


def _validated(data: Any, document: Document, folder: Path | None = None) -> SearchSpec:
    try:
        return SearchSpec.model_validate(data, context={"folder": folder})
    except ValidationError as error:
        problems: list[Problem] = []
        of_plugins: list[Problem] = []
        for place, message, kind in flatten(error):
            if kind in UNKNOWN_FIELD:
                message = unknown_field(place[-1], _fields_at(place[:-1]))
            problems.append(document.problem(place, message))
            if place[:1] == ("plugins",):
                of_plugins.append(problems[-1])
        problems = of_plugins or problems  # without them, what they have is unknown
        raise SpecError(problems) from None


def _fields_at(place: Place) -> list[str]:
    """The fields of the model at `place` in a SearchSpec."""
    model: type[Section] = SearchSpec
    for part in place:
        if isinstance(part, str):  # all entries of a list are of one kind
            model = next(_sections_in(model.model_fields[part].annotation))
    return list(model.model_fields)


def _sections_in(annotation: Any) -> Iterator[type[Section]]:
    """The sections in a type such as `list[Judge] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for part in get_args(annotation):
        yield from _sections_in(part)
