"""How a search looks in MLflow: a run for each trial record, one for the search itself, the leaderboard.

Everything is idempotent: runs are found by tags, metrics carry the fixed time of their report, parameters are written
once (`runs`). So the same code serves live tracking, going on after a crash, and `reconcile`. What is written last of a
finished trial is its run status: a run without it is written again.
"""

import json
import logging
import math
import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from search.errors import OperationFailed
from search.record import Report, State, TrialRecord
from search.study.trial_storage import TrialStorage
from search.tracking import names, view
from search.tracking.board import is_ranked, sync_board
from search.tracking.client import is_refusal
from search.tracking.density import density_png
from search.tracking.models import log_model, register_model
from search.tracking.runs import Changes, Point, Runs
from trainable.storage.checkpoint import newest_state
from trainable.task import READ_FILE, SAMPLES_FILE, SAMPLING_FILE

# How an MLflow run ends. A trial that was stopped at a rung or diverged did what it should: the tag
# search.state tells them apart.
_STATUS = {
    State.RUNNING: "RUNNING",
    State.COMPLETE: "FINISHED",
    State.STOPPED: "FINISHED",
    State.DIVERGED: "FINISHED",
    State.FAILED: "FAILED",
}
_log = logging.getLogger(__name__)
_NOT_PICKLED = (pickle.PicklingError, AttributeError, TypeError)  # what a network of one's own may raise
_SCHEDULE_FILE, _DENSITY_FILE = "schedule.json", "sigma_density.png"


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


class Projection:
    """One search in one MLflow store. Blocking; raises what MLflow raises; used by one thread at a time.

    uri: of the tracking server or database. search_name: name of the search and of its MLflow experiment.
    study_id: identity of the study; another one under the same name gets a parent run of its own. objective:
    name of the objective's metric. total_steps: a trial's full budget. folder: of the search. kept_at: location of what
    its trials keep, in trials/<number>/ there; the folder, unless that is in a bucket. trial_tags: carried by every
    trial's run, such as what its values were measured with. datasets: by setting, name and checksum of the data that
    trials are trained on. of_script: whether a script trains them, which names files
    of its own. A bad objective name raises ValueError here, before anything is trained.
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
        datasets: Mapping[str, tuple[str, str]] | None = None,
        of_script: bool = False,
        client: Any = None,
    ):
        self.search_name = search_name
        self.objective = names.check_metric_name(objective)
        self.total_steps = total_steps
        self.kept_at = kept_at or str(folder)
        self._trial_tags = dict(trial_tags or {})
        self._datasets = dict(datasets or {})
        self._of_script = of_script
        self.runs = Runs(
            uri, search_name=search_name, study_id=study_id or search_name, folder=Path(folder), client=client
        )

    def reload(self) -> None:
        """Forget what was seen in MLflow, so that it is looked up again."""
        self.runs.reload()

    @staticmethod
    def is_refusal(error: Exception) -> bool:
        """Whether MLflow would refuse the same request again."""
        return is_refusal(error)

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
        tags, points = self._tags_of(record), self._points_of(record)
        run = self.runs.trials.get(record.number)
        if run is None:
            run = self.runs.create_trial(record.number, tags, _run_name(record), _start_ms(record))
            changes += Changes(runs=1)
        elif verify:
            self.runs.look_up(run, {point.metric for point in points})
        if record.setting in self._datasets:
            self.runs.log_dataset(run, *self._datasets[record.setting])
        status = self._status_of(record)
        if verify or run.lacking(tags) or run.status != status:
            # Values first: files may go to a store of their own, which is away. The status last: all is there then.
            changes += self.runs.write(run, points=points, params=_params_of(record), tags=tags)
            if record.state is not State.RUNNING:
                changes += self.runs.add_files(run, self._files_of(record))
            changes += self.runs.set_status(run, status, _end_ms(record))
        for name, value in record.measured.values.items() if record.measured is not None else ():
            changes += self.runs.renew(run, names.check_metric_name(name), value, _now_ms())
        return changes + self._raise_best(record)

    def sync_sampling(self, record: TrialRecord, measured: Mapping[str, Any]) -> Changes:
        """Show the distances for several network evaluations, and the levels they belong to, on the trial's run."""
        changes = self.sync(record)
        run = self.runs.trials[record.number]
        text = json.dumps(measured, indent=1, allow_nan=False) + "\n"
        values = {names.check_metric_name(name): value for name, value in measured["metrics"].items()}
        # The file first: where the values are, it is whole.
        if any(run.latest.get(name) != value for name, value in values.items()):
            changes += self.runs.write_texts(run, {SAMPLING_FILE: text})
        else:
            changes += self.runs.add_files(run, {SAMPLING_FILE: text.encode})
        now_ms = _now_ms()
        for name, value in values.items():
            changes += self.runs.renew(run, name, value, now_ms)
        return changes

    def sync_model(self, record: TrialRecord, make: Callable[[], Any]) -> Changes:
        """Log the trained network of the trial. make: it. None is logged where it is not kept, which is an
        OperationFailed, or cannot be pickled."""
        changes = self.sync(record)
        run = self.runs.trials[record.number]
        if names.MODEL not in run.tags:
            try:
                log_model(self.runs, run, make(), self.total_steps)
            except (OperationFailed, *_NOT_PICKLED) as error:
                _log.warning("MLflow gets no model of trial %d: %s", record.number, error)
        return changes

    def register(self, record: TrialRecord, make: Callable[[], Any], name: str) -> str:
        """Register the trial's network under `name`, logged if need be; returns the version. OperationFailed where it
        is not kept."""
        self.sync(record)
        run = self.runs.trials[record.number]
        log_model(self.runs, run, make(), self.total_steps)
        return register_model(self.runs, run, name)

    def _with_checkpoint(self, record: TrialRecord) -> TrialRecord:
        """The record with all that was measured at its rungs: of an open trial the study has the objectives only, and
        its checkpoint the rest."""
        if record.state is not State.RUNNING:
            return record
        if self._of_script:
            reported = self._read_of_script(record).get("taken", ())
        else:
            state = newest_state(TrialStorage(self.kept_at).folder(record.number)) or {}
            reported = state.get("reports", ())
        kept = {report["step"]: Report(**report) for report in reported}
        # The study is the truth: what it does not know yet, the trial will tell when it goes on.
        reports = [
            kept[report.step]
            if report.step in kept and kept[report.step].objective == report.objective
            else report
            for report in record.reports
        ]
        return replace(record, reports=tuple(reports))

    def _status_of(self, record: TrialRecord) -> str:
        if record.state is State.RUNNING and self.runs.parent.status != "RUNNING":
            return "KILLED"  # nobody trains it now; it is RUNNING again when the search goes on
        return _STATUS[record.state]

    def _points_of(self, record: TrialRecord) -> list[Point]:
        """What was measured and can be stored; the objective alone where the rest is not known."""
        return [
            Point(key, report.step, float(value), report.time_ms)
            for report in record.reports
            for key, value in (report.metrics or {self.objective: report.objective}).items()
            if _is_storable(key, value)
        ]

    def _files_of(self, record: TrialRecord) -> dict[str, Callable[[], bytes | None]]:
        """The schedule, its picture and the trial's sample grid, each by what makes it."""
        kept = TrialStorage(self.kept_at).folder(record.number)
        schedule = record.schedule
        return {
            **{name: partial(kept.read, name) for name in self._named_files(record)},
            _SCHEDULE_FILE: lambda: (json.dumps(schedule.to_dict(), indent=2) + "\n").encode(),
            _DENSITY_FILE: lambda: density_png(schedule, self.total_steps),
            SAMPLES_FILE: lambda: kept.read(SAMPLES_FILE),
        }

    def _named_files(self, record: TrialRecord) -> list[str]:
        """The files in its folder that the trial's script has named as results."""
        named = self._read_of_script(record).get("files", []) if self._of_script else []
        inside = [PurePosixPath("/", name).relative_to("/").as_posix() for name in named]
        # A folder, or what cannot be a file's name, is passed over: read, it would hold up all that MLflow is to get.
        there = TrialStorage(self.kept_at).folder(record.number).names(below=True) if inside else []
        return [name for name in inside if name in there]

    def _read_of_script(self, record: TrialRecord) -> dict[str, Any]:
        """What was read of a trial's script so far."""
        return TrialStorage(self.kept_at).read_json(record.number, READ_FILE) or {}

    def _raise_best(self, record: TrialRecord) -> Changes:
        """The search's own run carries the best full-budget value so far, to be sorted among searches.

        Replicates are left out: they are to check a value, not to find a luckier one.
        """
        value = record.objective
        if record.state is not State.COMPLETE or record.replicate_of is not None or value is None:
            return Changes()
        parent = self.runs.parent
        best = parent.latest.get(self.objective)
        if not math.isfinite(value) or (best is not None and best <= value):
            return Changes()
        self.runs.write(parent, tags={names.BEST_TRIAL: str(record.number)})
        return self.runs.renew(parent, self.objective, value, record.reports[-1].time_ms)

    def _tags_of(self, record: TrialRecord) -> dict[str, str]:
        left_out = [
            f"{key}={value} at step {report.step}"
            for report in record.reports
            for key, value in report.metrics.items()
            if not _is_storable(key, value)
        ]
        tags = {
            **self._trial_tags,
            **self.runs.identity("trial"),
            names.PARENT_RUN: self.runs.parent.run_id,
            names.TRIAL: record.number,
            names.PURPOSE: record.purpose.value,
            names.STATE: record.state.value,
            names.STEP: record.reports[-1].step if record.reports else 0,
            names.SEEN: None if record.objective is None else f"{record.objective:.4g}",
            names.SCHEDULE: record.schedule.describe(),
            names.PRESET: record.preset,
            names.REPLICATE_OF: record.replicate_of,
            names.SETTING: record.setting or None,
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
        run = self.runs.parent
        tags = {key: names.tag_text(value) for key, value in info.tags.items()}
        changes = self.runs.write(run, params=names.flatten(info.params), tags=tags)
        changes += self.runs.write_texts(run, info.files)
        self.save_view()
        changes += self.runs.set_status(run, info.status)
        if info.status != "RUNNING":
            for trial in self.runs.trials.values():
                if trial.status == "RUNNING":
                    changes += self.runs.set_status(trial, "KILLED")
        return changes

    def save_view(self) -> str:
        """Store the leaderboard's table (order, filter, columns) in MLflow; returns its address in the UI,
        to be appended to the address of the server.
        """
        key, state = view.leaderboard_view(
            self.runs.parent.run_id, self.objective, ranked=is_ranked(self.runs)
        )
        self.runs.tag_experiment(view.TAG + key, state)
        return view.address(self.runs.experiment_id, key)

    def sync_leaderboard(self, rows: Sequence[Mapping[str, Any]], conclusion: str = "") -> Changes:
        """Store the leaderboard with the conclusion, and order the trials' runs by it; see `sync_board`."""
        title = f"Leaderboard of {self.search_name} ({self.objective})"
        changes = sync_board(self.runs, rows, self.objective, title, conclusion)
        self.save_view()
        return changes


def _is_storable(key: str, value: float) -> bool:
    # MLflow stores an infinity as 1.8e308 and a NaN as a flagged 0, which its charts then show.
    return names.is_metric_name(key) and math.isfinite(value)


def _params_of(record: TrialRecord) -> dict[str, str]:
    """Seed, purpose, preset, and the schedule in full: comparable between proposals and presets."""
    params = {"seed": str(record.seed), "stage": record.purpose.value}
    if record.preset is not None:
        params["preset"] = record.preset
    if not record.is_comparable:
        params["setting"] = record.setting
    return params | names.flatten(record.schedule.to_dict())


def _run_name(record: TrialRecord) -> str:
    if record.replicate_of is not None:
        where = "" if record.is_comparable else f" with {record.setting}"
        return f"{record.number:05d} again {record.replicate_of:05d}{where}"
    return f"{record.number:05d} {record.preset or record.schedule.to_dict()['noise']['name']}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _start_ms(record: TrialRecord) -> int | None:
    return record.start_ms or (record.reports[0].time_ms if record.reports else None)


def _end_ms(record: TrialRecord) -> int | None:
    return record.end_ms or (record.reports[-1].time_ms if record.reports else None)
