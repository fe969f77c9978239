"""Brings MLflow to the state of a trial record, of the search itself and of its leaderboard.

Everything is idempotent: runs are found by tags, metrics carry the fixed time of their report (MLflow stores
the same step, value and time once), parameters are written once. So the same code serves live
tracking, going on after a crash, and `reconcile`. What is written last of a finished trial is its run status:
a run without it is written again.
"""

import json
import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from search.record import Report, State, TrialRecord
from search.study.trial_storage import trial_folder
from search.tracking import names, tables, view
from search.tracking.client import artifact_root, connect, set_environment
from search.tracking.density import density_png
from spaces import NoiseSchedule
from trainable.storage.checkpoint import newest_state
from trainable.storage.location import open_folder
from trainable.task import SAMPLES_FILE, SAMPLING_FILE

# How an MLflow run ends. A trial that was stopped at a rung or diverged did what it should: the tag
# search.state tells them apart.
_STATUS = {
    State.RUNNING: "RUNNING",
    State.COMPLETE: "FINISHED",
    State.STOPPED: "FINISHED",
    State.DIVERGED: "FINISHED",
    State.FAILED: "FAILED",
}
# Answers that the same request will get again. Anything else (no connection, overload, a locked
# database, a missing permission) may pass and is tried again for as long as the search runs.
_REFUSALS = frozenset(
    {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "MALFORMED_REQUEST", "RESOURCE_DOES_NOT_EXIST"}
)

SCHEDULE_FILE, DENSITY_FILE = "schedule.json", "sigma_density.png"


@dataclass(frozen=True)
class ParentInfo:
    """What the search's own run shows.

    tags: e.g. git commit, versions, data and extractor checksums. params: the resolved search file, nested
    or flat. files: text files by their path in the run, e.g. {"search.yaml": ...}; written again when
    their text changes. status: RUNNING, FINISHED, FAILED or KILLED.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    status: str = "RUNNING"

    def __post_init__(self) -> None:
        if self.status not in ("RUNNING", "FINISHED", "FAILED", "KILLED"):
            raise ValueError(f"`status` is RUNNING, FINISHED, FAILED or KILLED, but got {self.status!r}")
        for name in (*self.tags, *names.flatten(self.params)):
            names.check_metric_name(name)


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
class _Run:
    """What we know of an MLflow run. `values` and `files` are what this process wrote or looked up."""

    run_id: str
    status: str
    tags: dict[str, str]
    params: dict[str, str]
    latest: dict[str, float]
    values: set[tuple[str, int]] | None = None  # (metric, step); None: not looked up yet
    files: dict[str, str | None] = field(default_factory=dict)  # name -> text where it may change


class Projection:
    """One search in one MLflow store. Blocking; raises what MLflow raises; used by one thread at a time.

    uri: of the tracking server or database. search_name: name of the search and of its MLflow experiment.
    study_id: identity of the study; another one under the same name gets a parent run of its own. objective:
    name of the objective's metric. total_steps: a trial's full budget. folder: of the search. kept_at: location of what
    its trials keep, in trials/<number>/ there; the folder, unless that is in a bucket. trial_tags: carried by every
    trial's run, such as what its values were measured with. A bad objective name raises ValueError here, before
    anything is trained.
    """

    def __init__(
        self,
        uri: str,
        *,
        search_name: str,
        objective: str,
        total_steps: int,
        folder: Path,
        kept_at: str | None = None,
        study_id: str | None = None,
        trial_tags: Mapping[str, Any] | None = None,
        client: Any = None,
    ):
        self.uri = uri
        self.search_name = search_name
        self.objective = names.check_metric_name(objective)
        self.total_steps = total_steps
        self.folder = Path(folder)
        self.kept_at = kept_at or str(folder)
        self.study_id = study_id or search_name
        self._trial_tags = dict(trial_tags or {})
        self._given_client = client
        if client is None:
            # Here and not at the first use: Tracker connects on its own thread, and two threads that import
            # large packages at once (the other one Ray) can meet half-imported modules.
            set_environment()
            import mlflow  # noqa: F401
        self._client_made: Any = None
        self._experiment_id: str | None = None
        self._parent: _Run | None = None
        self._trials: dict[int, _Run] | None = None

    # What is in MLflow now

    def reload(self) -> None:
        """Forget what was seen in MLflow, so that it is looked up again."""
        self._experiment_id = self._parent = self._trials = None

    @staticmethod
    def is_refusal(error: Exception) -> bool:
        """Whether MLflow would refuse the same request again."""
        if isinstance(error, OSError):  # what `requests` raises, among it an unreadable answer (a ValueError)
            return False
        return isinstance(error, TypeError | ValueError) or getattr(error, "error_code", "") in _REFUSALS

    @property
    def _client(self) -> Any:
        if self._client_made is None:
            self._client_made = self._given_client or connect(self.uri)
        return self._client_made

    @property
    def experiment_id(self) -> str:
        """The MLflow experiment of the search; made (or taken out of the trash) if need be."""
        if self._experiment_id is None:
            experiment = self._client.get_experiment_by_name(self.search_name)
            if experiment is None:
                root = artifact_root(self.uri, self.folder)
                location = (root / self.search_name).as_uri() if root else None
                self._experiment_id = self._client.create_experiment(
                    self.search_name, location, tags=view.EXPERIMENT_TAGS
                )
            else:
                if experiment.lifecycle_stage == "deleted":
                    self._client.restore_experiment(experiment.experiment_id)
                self._experiment_id = experiment.experiment_id
        return self._experiment_id

    def _search(self, role: str) -> Iterator[_Run]:
        """Our runs of one role, oldest first."""
        token = None
        while True:
            page = self._client.search_runs(
                [self.experiment_id],
                filter_string=f"tags.`{names.ROLE}` = '{role}' and tags.`{names.STUDY}` = '{self.study_id}'",
                max_results=1000,
                order_by=["attributes.start_time ASC", "attributes.run_id ASC"],
                page_token=token,
            )
            for run in page:
                yield _Run(
                    run.info.run_id,
                    run.info.status,
                    dict(run.data.tags),
                    dict(run.data.params),
                    dict(run.data.metrics),
                )
            token = page.token
            if not token:
                return

    @property
    def parent(self) -> _Run:
        """The search's own run, made if need be."""
        if self._parent is None:
            self._parent = next(self._search("parent"), None)
        if self._parent is None:
            tags = {
                names.ROLE: "parent",
                names.NAME: self.search_name,
                names.STUDY: self.study_id,
            }
            run = self._client.create_run(self.experiment_id, tags=tags, run_name=self.search_name)
            self._parent = _Run(run.info.run_id, "RUNNING", dict(run.data.tags), {}, {})
        return self._parent

    @property
    def trials(self) -> dict[int, _Run]:
        """The runs of the trials by trial number; of two runs of one trial, the older one."""
        if self._trials is None:
            found: dict[int, _Run] = {}
            for run in self._search("trial"):
                found.setdefault(int(run.tags[names.TRIAL]), run)
            self._trials = found
        return self._trials

    def remove_duplicates(self) -> Changes:
        """Move second runs of one trial, which a lost answer can leave behind, to MLflow's trash."""
        kept = {run.run_id for run in self.trials.values()}
        extra = [run for run in self._search("trial") if run.run_id not in kept]
        for run in extra:
            self._client.delete_run(run.run_id)
        return Changes(duplicates=len(extra))

    # One trial

    def sync(self, record: TrialRecord, *, verify: bool = False) -> Changes:
        """Bring the run of one trial to the state of `record`; what had to be written.

        verify: also look up the stored values and files, which else are taken to be what this process
        wrote (and of a run that it did not write, to be complete if its status and tags are), and what the
        checkpoint of an open trial knows.
        """
        changes = Changes()
        if verify:
            record = self._with_checkpoint(record)
        tags = self._tags_of(record)
        run = self.trials.get(record.number)
        if run is None:
            created = self._client.create_run(
                self.experiment_id, start_time=_start_ms(record), tags=tags, run_name=_run_name(record)
            )
            run = _Run(created.info.run_id, "RUNNING", dict(created.data.tags), {}, {}, values=set())
            self.trials[record.number] = run
            changes += Changes(runs=1)
        elif verify:
            self._look_up(run, record)
        status = _STATUS[record.state]
        if record.state is State.RUNNING and self.parent.status != "RUNNING":
            status = "KILLED"  # nobody trains it now; it is RUNNING again when the search goes on
        new_tags = {key: value for key, value in tags.items() if run.tags.get(key) != value}
        if verify or new_tags or run.status != status:
            if record.state is not State.RUNNING:
                changes += self._log_files(run, record)
            changes += self._log_values(run, record, new_tags)
            changes += self._set_status(run, status, _end_ms(record))
        return changes + self._raise_best(record)

    def sync_sampling(self, record: TrialRecord, measured: Mapping[str, Any]) -> Changes:
        """Show the distances for several network evaluations, and the levels they belong to, on the trial's run."""
        changes = self.sync(record)
        run = self.trials[record.number]
        now_ms = time.time_ns() // 1_000_000
        for name, value in measured["metrics"].items():
            changes += self._log_series(run, names.check_metric_name(name), value, now_ms)
        if changes.values:
            text = json.dumps(measured, indent=1, allow_nan=False) + "\n"
            changes += self._log_texts(run, {SAMPLING_FILE: text})
        return changes

    def _with_checkpoint(self, record: TrialRecord) -> TrialRecord:
        """The record with all that was measured at its rungs: of an open trial the study has the objectives only, and
        its checkpoint the rest."""
        if record.state is not State.RUNNING:
            return record
        state = newest_state(open_folder(trial_folder(self.kept_at, record.number))) or {}
        kept = {report["step"]: Report(**report) for report in state.get("reports", ())}
        # The study is the truth: what it does not know yet, the trial will tell when it goes on.
        reports = [
            kept[report.step]
            if report.step in kept and kept[report.step].objective == report.objective
            else report
            for report in record.reports
        ]
        return replace(record, reports=tuple(reports))

    def _stored_values(self, run: _Run, record: TrialRecord) -> set[tuple[str, int]]:
        """(metric, step) of the reports that MLflow has of a run."""
        keys = {key for report in record.reports for key in self._values(report)}
        return {
            (key, metric.step)
            for key in keys & run.latest.keys()
            for metric in self._client.get_metric_history(run.run_id, key)
        }

    def _look_up(self, run: _Run, record: TrialRecord) -> None:
        run.values = self._stored_values(run, record)
        run.files = {file.path: None for file in self._client.list_artifacts(run.run_id)}

    def _values(self, report: Report) -> Mapping[str, float]:
        """What was measured; the objective alone where the rest is not known."""
        return report.metrics or {self.objective: report.objective}

    def _log_values(self, run: _Run, record: TrialRecord, tags: Mapping[str, str]) -> Changes:
        from mlflow.entities import Metric, Param, RunTag

        if run.values is None:
            run.values = self._stored_values(run, record)
        metrics = [
            Metric(key, float(value), report.time_ms, report.step)
            for report in record.reports
            for key, value in self._values(report).items()
            if _is_storable(key, value) and (key, report.step) not in run.values
        ]
        params = {key: value for key, value in _params_of(record).items() if key not in run.params}
        for start in range(0, max(len(metrics), 1), 900):
            # One request where it fits: MLflow takes 1000 values, parameters and tags, 100 of these.
            self._client.log_batch(
                run.run_id,
                metrics=metrics[start : start + 900],
                params=[Param(key, value) for key, value in params.items()] if start == 0 else [],
                tags=[RunTag(key, value) for key, value in tags.items()] if start == 0 else [],
            )
        run.values |= {(metric.key, metric.step) for metric in metrics}
        run.latest |= {metric.key: metric.value for metric in metrics}
        run.params |= params
        run.tags |= tags
        return Changes(values=len(metrics), params=len(params), tags=len(tags))

    def _log_files(self, run: _Run, record: TrialRecord) -> Changes:
        """The schedule, its picture and the trial's sample grid, those that are not there yet."""
        files = open_folder(trial_folder(self.kept_at, record.number))
        samples = files.read(SAMPLES_FILE) if SAMPLES_FILE not in run.files else None
        with tempfile.TemporaryDirectory() as folder_name:
            folder = Path(folder_name)
            if SCHEDULE_FILE not in run.files:
                (folder / SCHEDULE_FILE).write_text(json.dumps(record.schedule.to_dict(), indent=2) + "\n")
            if DENSITY_FILE not in run.files:
                (folder / DENSITY_FILE).write_bytes(density_png(record.schedule, self.total_steps))
            if samples is not None:
                (folder / SAMPLES_FILE).write_bytes(samples)
            written = [path.name for path in folder.iterdir()]
            if written:
                self._client.log_artifacts(run.run_id, folder_name)
        run.files |= dict.fromkeys(written)
        return Changes(files=len(written))

    def _set_status(self, run: _Run, status: str, end_ms: int | None) -> Changes:
        if run.status == status:
            return Changes()
        if status == "RUNNING":
            self._client.update_run(run.run_id, status=status)
        else:
            self._client.set_terminated(run.run_id, status=status, end_time=end_ms)
        run.status = status
        return Changes(statuses=1)

    def _raise_best(self, record: TrialRecord) -> Changes:
        """The search's own run carries the best full-budget value so far, to be sorted among searches.

        Replicates are left out: they are to check a value, not to find a luckier one.
        """
        value = record.objective
        if record.state is not State.COMPLETE or record.replicate_of is not None or value is None:
            return Changes()
        best = self.parent.latest.get(self.objective)
        if not math.isfinite(value) or (best is not None and best <= value):
            return Changes()
        self._log_series(self.parent, self.objective, value, record.reports[-1].time_ms)
        self._set_tags(self.parent, {names.BEST_TRIAL: str(record.number)})
        return Changes(values=1)

    def _tags_of(self, record: TrialRecord) -> dict[str, str]:
        left_out = [
            f"{key}={value} at step {report.step}"
            for report in record.reports
            for key, value in report.metrics.items()
            if not _is_storable(key, value)
        ]
        tags = {
            **self._trial_tags,
            names.PARENT_RUN: self.parent.run_id,
            names.ROLE: "trial",
            names.NAME: self.search_name,
            names.STUDY: self.study_id,
            names.TRIAL: record.number,
            names.STAGE: record.purpose.value,
            names.STATE: record.state.value,
            names.STEP: record.reports[-1].step if record.reports else 0,
            names.SCHEDULE: record.schedule.describe(),
            names.PRESET: record.preset,
            names.REPLICATE_OF: record.replicate_of,
            names.CONDEMNED_AT: record.condemned_at,
            names.MICRO_BATCH: record.micro_batch,
            names.REASON: record.reason,
            names.LEFT_OUT: "; ".join(left_out) or None,
        }
        return {key: names.tag_text(value) for key, value in tags.items() if value is not None}

    # The search itself

    def sync_parent(self, info: ParentInfo) -> Changes:
        """Bring the search's own run to the state of `info`.

        A parameter that MLflow already has keeps its first value (MLflow never changes one): after
        a change of the search the file among `info.files` is what holds.
        """
        from mlflow.entities import Param, RunTag

        run = self.parent
        tags = {key: names.tag_text(value) for key, value in info.tags.items()}
        tags = {key: value for key, value in tags.items() if run.tags.get(key) != value}
        params = {key: value for key, value in names.flatten(info.params).items() if key not in run.params}
        if tags or params:
            self._client.log_batch(
                run.run_id,
                params=[Param(key, value) for key, value in params.items()],
                tags=[RunTag(key, value) for key, value in tags.items()],
            )
            run.tags |= tags
            run.params |= params
        changes = Changes(tags=len(tags), params=len(params)) + self._log_texts(run, info.files)
        self.save_view()
        changes += self._set_status(run, info.status, None)
        if info.status != "RUNNING":
            for trial in self.trials.values():
                if trial.status == "RUNNING":
                    changes += self._set_status(trial, "KILLED", None)
        return changes

    def save_view(self) -> str:
        """Store the leaderboard's table (order, filter, columns) in MLflow; returns its address in the UI,
        to be appended to the address of the server.
        """
        key, state = view.leaderboard_view(self.parent.run_id, self.objective)
        experiment = self._client.get_experiment(self.experiment_id)
        if experiment.tags.get(view.TAG + key) != state:
            self._client.set_experiment_tag(self.experiment_id, view.TAG + key, state)
        return view.address(self.experiment_id, key)

    def sync_leaderboard(self, rows: Sequence[Mapping[str, Any]]) -> Changes:
        """Store the leaderboard as JSON, HTML and the description of the search's own run; tag the ranks.

        rows: best first, plain values; known keys are number (of the trial), rank, mean and confirmed: a
        confirmed mean also becomes the metric `<objective>_confirmed` of its trial and, the first one, of
        the search's run.
        """
        title = f"Leaderboard of {self.search_name} ({self.objective})"
        changes = self._log_texts(
            self.parent,
            {
                "leaderboard.json": json.dumps(list(rows), indent=2, default=str) + "\n",
                "leaderboard.html": tables.html_table(rows, title),
            },
        )
        changes += self._set_tags(self.parent, {names.NOTE: names.tag_text(tables.markdown_table(rows[:20]))})
        now_ms = time.time_ns() // 1_000_000
        confirmed_name = f"{self.objective}_confirmed"
        best: float | None = None
        for row in rows:
            run = self.trials.get(row.get("number", -1))
            mean = row.get("mean") if row.get("confirmed") else None
            if isinstance(mean, float) and math.isfinite(mean):
                best = mean if best is None else best
                if run is not None:
                    changes += self._log_series(run, confirmed_name, mean, now_ms)
            if run is not None and row.get("rank") is not None:
                changes += self._set_tags(run, {names.RANK: str(row["rank"])})
        if best is not None:
            changes += self._log_series(self.parent, confirmed_name, best, now_ms)
        return changes

    # Small writes

    def _log_series(self, run: _Run, key: str, value: float, time_ms: int) -> Changes:
        """Make `value` the newest of a metric that changes seldom; nothing if it is."""
        from mlflow.entities import Metric

        if run.latest.get(key) == value:
            return Changes()
        step = len(self._client.get_metric_history(run.run_id, key)) if key in run.latest else 0
        self._client.log_batch(run.run_id, metrics=[Metric(key, value, time_ms, step)])
        run.latest[key] = value
        return Changes(values=1)

    def _set_tags(self, run: _Run, tags: Mapping[str, str]) -> Changes:
        from mlflow.entities import RunTag

        new = {key: value for key, value in tags.items() if run.tags.get(key) != value}
        if new:
            self._client.log_batch(run.run_id, tags=[RunTag(key, value) for key, value in new.items()])
            run.tags |= new
        return Changes(tags=len(new))

    def _log_texts(self, run: _Run, files: Mapping[str, str]) -> Changes:
        new = {path: text for path, text in files.items() if run.files.get(path) != text}
        if new:
            with tempfile.TemporaryDirectory() as folder:
                for path, text in new.items():
                    (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
                    (Path(folder) / path).write_text(text)
                self._client.log_artifacts(run.run_id, folder)
            run.files |= new
        return Changes(files=len(new))


def _is_storable(key: str, value: float) -> bool:
    # MLflow stores an infinity as 1.8e308 and a NaN as a flagged 0, which its charts then show.
    return names.is_metric_name(key) and math.isfinite(value)


def _params_of(record: TrialRecord) -> dict[str, str]:
    """Seed, stage, preset, and the schedule in full: comparable between proposals and presets."""
    params = {"seed": str(record.seed), "stage": record.purpose.value}
    if record.preset is not None:
        params["preset"] = record.preset
    return params | names.flatten(record.schedule.to_dict())


def _run_name(record: TrialRecord) -> str:
    if record.replicate_of is not None:
        return f"{record.number:05d} again {record.replicate_of:05d}"
    return f"{record.number:05d} {record.preset or _family(record.schedule)}"


def _family(schedule: NoiseSchedule) -> str:
    return str(schedule.to_dict()["noise"]["name"])


def _start_ms(record: TrialRecord) -> int | None:
    return record.start_ms or (record.reports[0].time_ms if record.reports else None)


def _end_ms(record: TrialRecord) -> int | None:
    return record.end_ms or (record.reports[-1].time_ms if record.reports else None)
