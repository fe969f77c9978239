"""The MLflow runs of one search: found by their tags, made where they are missing, told only what they lack.

Whatever is written twice is there once: MLflow stores the same step, value and time of a metric once, and never
changes a parameter. `Run` remembers what this process wrote or looked up, so that little of it is.
"""

import json
import logging
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from search.machine.temporary import PREFIX, temporary_folder
from search.tracking import names, view
from search.tracking.artifacts import bring_artifacts_along
from search.tracking.client import artifact_root, connect, set_environment

_NOT_KNOWN = ("ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED")  # what a server of an earlier version answers
_log = logging.getLogger(__name__)
_MAX_DIGEST = 36  # characters of a data set's digest
_MAX_VALUES = 900  # in one request: MLflow takes 1000 values, parameters and tags, 100 of these


class Point(NamedTuple):
    """A metric's value at a step. time_ms: since 1970."""

    metric: str
    step: int
    value: float
    time_ms: int


@dataclass(frozen=True)
class Changes:
    """What was missing in MLflow and was written."""

    runs: int = 0
    values: int = 0  # metric values
    params: int = 0
    tags: int = 0
    files: int = 0
    statuses: int = 0
    duplicates: int = 0  # second runs of one trial, moved to MLflow's trash

    def __add__(self, other: "Changes") -> "Changes":
        mine, others = asdict(self), asdict(other)
        return Changes(**{name: mine[name] + others[name] for name in mine})

    def __bool__(self) -> bool:
        return any(asdict(self).values())


@dataclass
class Run:
    """What we know of an MLflow run. `points` and `files` are what this process wrote or found to be whole."""

    run_id: str
    status: str
    tags: dict[str, str]
    params: dict[str, str]
    latest: dict[str, float]
    points: set[tuple[str, int]] | None = None  # (metric, step); None: not looked up yet
    has_dataset: bool = False
    files: dict[str, str | None] = field(default_factory=dict)  # name -> text where it may change
    sizes: dict[str, int | None] = field(
        default_factory=dict
    )  # name -> bytes of what was looked up; None: not known

    def lacking(self, tags: Mapping[str, str]) -> dict[str, str]:
        """Those of the tags that the run does not carry, or with another text."""
        return {key: text for key, text in tags.items() if self.tags.get(key) != text}


class Runs:
    """The search's own run, the parent, and one for each trial, in an MLflow experiment of the search's name.

    uri: of the tracking server or database. folder: of the search; a database without a file keeps files there.
    study_id: identity of the study; another one under the same name has runs of its own. Raises what MLflow raises.
    """

    def __init__(self, uri: str, *, search_name: str, study_id: str, folder: Path, client: Any = None):
        self._uri = uri
        self._search_name = search_name
        self._study = study_id
        self._folder = folder
        self._given_client = client
        if client is None:
            # Here and not at the first use: Tracker connects on its own thread, and two threads that import
            # large packages at once (the other one Ray) can meet half-imported modules.
            set_environment()
            import mlflow  # noqa: F401
        self._client_made: Any = None
        self._experiment_id: str | None = None
        self._parent: Run | None = None
        self._trials: dict[int, Run] | None = None
        self._told: set[str] = set()

    # What is there

    def reload(self) -> None:
        """Forget what was seen in MLflow, so that it is looked up again."""
        self._experiment_id = self._parent = self._trials = None

    @property
    def experiment_id(self) -> str:
        """The MLflow experiment of the search; made (or taken out of the trash) if need be."""
        if self._experiment_id is None:
            experiment = self.client.get_experiment_by_name(self._search_name)
            if experiment is None:
                self._experiment_id = self._create_experiment()
            else:
                if experiment.lifecycle_stage == "deleted":
                    self.client.restore_experiment(experiment.experiment_id)
                for key in view.EXPERIMENT_TAGS.keys() - experiment.tags.keys():  # made by an earlier version
                    self.client.set_experiment_tag(experiment.experiment_id, key, view.EXPERIMENT_TAGS[key])
                if (location := self._artifact_location) is not None:
                    before = experiment.artifact_location
                    bring_artifacts_along(
                        self._uri, experiment.experiment_id, self._search_name, before, location
                    )
                self._experiment_id = experiment.experiment_id
        return self._experiment_id

    @property
    def parent(self) -> Run:
        """The search's own run, made if need be."""
        if self._parent is None:
            self._parent = next(self._search("parent"), None)
        if self._parent is None:
            self._parent = self._create(self.identity("parent"), self._search_name, None)
        return self._parent

    @property
    def trials(self) -> dict[int, Run]:
        """The runs of the trials by trial number; of two runs of one trial, the older one."""
        if self._trials is None:
            found: dict[int, Run] = {}
            for run in self._search("trial"):
                found.setdefault(int(run.tags[names.TRIAL]), run)
            self._trials = found
        return self._trials

    def identity(self, role: str) -> dict[str, str]:
        """The tags by which runs of a role ("parent" or "trial") are found again."""
        return {names.ROLE: role, names.NAME: self._search_name, names.STUDY: self._study}

    def look_up(self, run: Run, metrics: Collection[str]) -> None:
        """Ask MLflow which values of these metrics, and which files, the run has."""
        self._look_up_points(run, metrics)
        run.files = {}
        run.sizes = {file.path: file.file_size for file in self.client.list_artifacts(run.run_id)}

    # What is written

    def create_trial(self, number: int, tags: Mapping[str, str], name: str, start_ms: int | None) -> Run:
        """A new run of a trial. tags: `identity` and the trial's number among them."""
        run = self.trials[number] = self._create(tags, name, start_ms)
        return run

    def remove_duplicates(self) -> Changes:
        """Move second runs of one trial, which a lost answer can leave behind, to MLflow's trash."""
        kept = {run.run_id for run in self.trials.values()}
        extra = [run for run in self._search("trial") if run.run_id not in kept]
        for run in extra:
            self.client.delete_run(run.run_id)
        return Changes(duplicates=len(extra))

    def write(
        self,
        run: Run,
        *,
        points: Sequence[Point] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Changes:
        """Write what the run lacks of these. A parameter that it has keeps its value: MLflow never changes one."""
        if points and run.points is None:
            self._look_up_points(run, {point.metric for point in points})
        seen = run.points or set()
        new_points = [point for point in points if (point.metric, point.step) not in seen]
        new_params = {key: text for key, text in (params or {}).items() if key not in run.params}
        new_tags = run.lacking(tags or {})
        self._send(run, new_points[:_MAX_VALUES], new_params, new_tags)
        for start in range(_MAX_VALUES, len(new_points), _MAX_VALUES):
            self._send(run, new_points[start : start + _MAX_VALUES])
        return Changes(values=len(new_points), params=len(new_params), tags=len(new_tags))

    def log_dataset(self, run: Run, name: str, checksum: str) -> None:
        """Say on what data the run was trained, once. A server that knows nothing of data sets is told nothing."""
        from mlflow.entities import Dataset, DatasetInput, InputTag
        from mlflow.exceptions import MlflowException

        if run.has_dataset:
            return
        data = Dataset(name, checksum[:_MAX_DIGEST], "code", json.dumps({"sha256": checksum}))
        used = DatasetInput(data, [InputTag("mlflow.data.context", "training")])
        try:
            self.client.log_inputs(run.run_id, [used])
        except MlflowException as error:
            if not self.is_not_known(error, "the runs of trials do not say on what data they were trained"):
                raise
        run.has_dataset = True

    def renew(self, run: Run, metric: str, value: float, time_ms: int) -> Changes:
        """Make `value` the newest of a metric that changes seldom; nothing if it is."""
        if run.latest.get(metric) == value:
            return Changes()
        step = len(self.client.get_metric_history(run.run_id, metric)) if metric in run.latest else 0
        self._send(run, [Point(metric, step, value, time_ms)])
        return Changes(values=1)

    def add_files(self, run: Run, makers: Mapping[str, Callable[[], bytes | None]]) -> Changes:
        """Store files that never change, those that the run has not yet, or not all of. A maker gives None where there
        is no file.

        MLflow writes them in place: of one that is killed meanwhile a part is left.
        """
        made = {name: make() for name, make in makers.items() if name not in run.files}
        there = {name: data for name, data in made.items() if data is not None}
        new = {name: data for name, data in there.items() if run.sizes.get(name, -1) not in (len(data), None)}
        self._store(run, new)
        run.files |= dict.fromkeys(there)
        return Changes(files=len(new))

    def write_texts(self, run: Run, texts: Mapping[str, str]) -> Changes:
        """Store text files by their path in the run, those with another text than this process has stored."""
        new = {path: text for path, text in texts.items() if run.files.get(path) != text}
        self._store(run, {path: text.encode() for path, text in new.items()})
        run.files |= new
        return Changes(files=len(new))

    def set_status(self, run: Run, status: str, end_ms: int | None = None) -> Changes:
        """Bring the run to an MLflow status. end_ms: of a run that ends; now, if None."""
        if run.status == status:
            return Changes()
        if status == "RUNNING":
            self.client.update_run(run.run_id, status=status)
        else:
            self.client.set_terminated(run.run_id, status=status, end_time=end_ms)
        run.status = status
        return Changes(statuses=1)

    def tag_experiment(self, key: str, text: str) -> None:
        """The experiment carries this tag."""
        experiment = self.client.get_experiment(self.experiment_id)
        if experiment.tags.get(key) != text:
            self.client.set_experiment_tag(self.experiment_id, key, text)

    def is_not_known(self, error: Exception, instead: str) -> bool:
        """Whether the server is too old for what was asked. instead: what it has for that, which the log says once."""
        if getattr(error, "error_code", "") not in _NOT_KNOWN:
            return False
        if instead not in self._told:
            self._told.add(instead)
            _log.warning("the MLflow server is of an earlier version: %s", instead)
        return True

    # The requests

    @property
    def client(self) -> Any:
        if self._client_made is None:
            self._client_made = self._given_client or connect(self._uri)
        return self._client_made

    @property
    def _artifact_location(self) -> str | None:
        """Where the files of the search's runs go, as a URI; None: the server decides."""
        root = artifact_root(self._uri, self._folder)
        return (root / self._search_name).as_uri() if root else None

    def _create_experiment(self) -> str:
        location = self._artifact_location
        made = self.client.create_experiment(self._search_name, location, tags=view.EXPERIMENT_TAGS)
        return str(made)

    def _create(self, tags: Mapping[str, str], name: str, start_ms: int | None) -> Run:
        made = self.client.create_run(self.experiment_id, start_time=start_ms, tags=dict(tags), run_name=name)
        return Run(made.info.run_id, "RUNNING", dict(made.data.tags), {}, {}, points=set())

    def _search(self, role: str) -> Iterator[Run]:
        """Our runs of one role, oldest first."""
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id],
                filter_string=f"tags.`{names.ROLE}` = '{role}' and tags.`{names.STUDY}` = '{self._study}'",
                max_results=1000,
                order_by=["attributes.start_time ASC", "attributes.run_id ASC"],
                page_token=token,
            )
            for run in page:
                data, known = run.data, (run.info.run_id, run.info.status)
                has_dataset = bool(run.inputs and run.inputs.dataset_inputs)
                yield Run(
                    *(*known, dict(data.tags), dict(data.params), dict(data.metrics)), has_dataset=has_dataset
                )
            token = page.token
            if not token:
                return

    def _look_up_points(self, run: Run, metrics: Collection[str]) -> None:
        run.points = {
            (metric, value.step)
            for metric in metrics & run.latest.keys()
            for value in self.client.get_metric_history(run.run_id, metric)
        }

    def _send(
        self,
        run: Run,
        points: Sequence[Point],
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """One request, and none where there is nothing to write."""
        from mlflow.entities import Metric, Param, RunTag

        params, tags = params or {}, tags or {}
        if not (points or params or tags):
            return
        self.client.log_batch(
            run.run_id,
            metrics=[Metric(point.metric, point.value, point.time_ms, point.step) for point in points],
            params=[Param(key, text) for key, text in params.items()],
            tags=[RunTag(key, text) for key, text in tags.items()],
        )
        if run.points is not None:
            run.points |= {(point.metric, point.step) for point in points}
        run.latest |= {point.metric: point.value for point in points}
        run.params |= params
        run.tags |= tags

    def _store(self, run: Run, files: Mapping[str, bytes]) -> None:
        if not files:
            return
        with temporary_folder(f"{PREFIX}{os.getpid()}-") as folder:
            for path, data in files.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(data)
            self.client.log_artifacts(run.run_id, str(folder))
