"""The Optuna study in its database: the one truth of a search.

Written by the driver alone. Every write is one small transaction, so a driver that is killed loses nothing
that it had acknowledged; whatever else exists (MLflow, leaderboard, files) can be rebuilt from here. A database that
is killed is waited for, and the write that met its end is done again.
"""

import datetime
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import event, make_url
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from search.errors import InputError
from search.machine.urls import shown_url
from search.policy.proposals import running_trial
from search.record import Purpose, Report, State, TrialRecord
from search.study.outage import Outlasting
from search.study.rows import finish_trial, insert_report, insert_study, insert_trial
from spaces import NoiseSchedule

# Optuna tells the screen of every study that is opened, those in memory included.
optuna.logging.set_verbosity(optuna.logging.WARNING)

# Optuna's state for each of ours. A diverged trial is a result: COMPLETE, with the worst value.
_OPTUNA_STATE = {
    State.COMPLETE: TrialState.COMPLETE,
    State.DIVERGED: TrialState.COMPLETE,
    State.STOPPED: TrialState.PRUNED,
    State.FAILED: TrialState.FAIL,
}


def open_storage(url: str) -> RDBStorage:
    """Optuna's storage at `url`; SQLite in WAL mode with a 60 s lock timeout.

    Measured with 24 writers: 146 calls/s and none failed, against 38 and 7 failures by default. WAL is for
    one host: never put the file on a network disk, use PostgreSQL there.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() != "sqlite":
            return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
        if parsed.database and parsed.database != ":memory:":
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        storage = RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})
    except (SQLAlchemyError, ImportError, OSError, RuntimeError) as error:
        raise InputError(
            f"the study's database {shown_url(url)} cannot be opened: {_first_line(error)}"
        ) from error

    @event.listens_for(storage.engine, "connect")
    def _pragmas(connection: Any, _record: Any) -> None:
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=normal")

    storage.engine.dispose()  # the constructor has already opened a connection without them
    return storage


class StudyStore:
    """Trials of one search, addressed by number.

    header: facts of the whole search (its resolved file, checksums, versions), kept as study attributes.
    """

    def __init__(self, study: Study, outlasting: Outlasting | None = None):
        self._study = study
        self._outlasting = outlasting or Outlasting("the study's database")
        self._header: dict[str, Any] | None = None
        self._tables = getattr(study._storage, "_backend", None)  # None: a study in memory
        self._ids = {trial.number: trial._trial_id for trial in study.get_trials(deepcopy=False)}

    @classmethod
    def open(cls, url: str, name: str) -> "StudyStore | None":
        """The study `name`, None where it does not exist yet."""
        storage = open_storage(url)
        if name not in (summary.study_name for summary in optuna.get_all_study_summaries(storage)):
            return None
        study = optuna.load_study(study_name=name, storage=storage)
        if study.direction != StudyDirection.MINIMIZE or "search" not in study.user_attrs:
            raise InputError(
                f"the study {name!r} in {shown_url(url)} was not made by this program: "
                "choose another `name` or `storage.study_url`"
            )
        return cls(study, _outlasting(url))

    @classmethod
    def create(cls, url: str, name: str, header: Mapping[str, Any]) -> "StudyStore":
        """A new study; InputError if the name is taken."""
        assert "search" in header  # `open` knows by it that a study is ours
        storage = open_storage(url)
        try:
            insert_study(storage, name, header)
        except IntegrityError as error:
            raise InputError(f"a search named {name!r} exists already in {shown_url(url)}") from error
        return cls(optuna.load_study(study_name=name, storage=storage), _outlasting(url))

    def give_up_when(self, gives_up: Callable[[], bool]) -> None:
        """Wait for a lost database no longer than until `gives_up()`."""
        self._outlasting.gives_up = gives_up

    @property
    def header(self) -> dict[str, Any]:
        """The facts given at creation."""
        if self._header is None:
            self._header = self._outlasting.do(lambda: self._study.user_attrs)
        return self._header

    def set_header(self, key: str, value: Any) -> None:
        """Add or replace one fact of the search."""
        self._outlasting.do(lambda: self._study.set_user_attr(key, value))
        self._header = {**self.header, key: value}

    def load(self) -> list[FrozenTrial]:
        """All trials by number."""
        return self._outlasting.do(lambda: self._study.get_trials(deepcopy=False))

    def records(self) -> list[TrialRecord]:
        """All trials by number, as the rest of the program sees them."""
        return [record_of(trial) for trial in self.load()]

    def add(
        self, attributes: Mapping[str, Any], params: Mapping[str, Any], distributions: Mapping[str, Any]
    ) -> int:
        """Add a RUNNING trial in one transaction; returns its number."""
        storage, study_id = self._study._storage, self._study._study_id
        number = len(self._ids)
        trial = running_trial(attributes, params, distributions)

        def create() -> None:
            if self._tables is None:
                trial_id = storage.create_new_trial(study_id, trial)
            else:
                trial_id = insert_trial(self._tables, study_id, number, trial)
            # Asking for the number of an id would read the whole trial back.
            self._ids[number] = storage.get_trial_id_from_study_id_trial_number(study_id, number)
            assert self._ids[number] == trial_id, "the study is written by another program"

        def create_unless_it_was() -> None:
            try:
                trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, number)
            except KeyError:
                create()
                return
            found = storage.get_trial(trial_id).user_attrs
            assert canonical(found) == canonical(trial.user_attrs), "the study is written by another program"
            self._ids[number] = trial_id

        self._outlasting.do(create, create_unless_it_was)
        return number

    def report(self, number: int, step: int, value: float) -> None:
        """Keep the objective at a rung; the first value of a step wins."""
        storage, tables, trial_id = self._study._storage, self._tables, self._ids[number]
        if tables is None:
            storage.set_trial_intermediate_value(trial_id, step, value)
        else:
            self._outlasting.do(lambda: insert_report(tables, trial_id, step, value))

    def condemn(self, number: int, step: int) -> None:
        """Keep that the stopping rule would have ended the trial at `step`."""
        storage, trial_id = self._study._storage, self._ids[number]
        self._outlasting.do(lambda: storage.set_trial_user_attr(trial_id, "condemned_at", step))

    def retry(self, number: int, micro_batch: int, reason: str | None) -> None:
        """Keep that the trial is tried once more with so many images at once, and why."""
        storage, trial_id = self._study._storage, self._ids[number]
        attempt = {"micro_batch": micro_batch, "reason": reason}
        self._outlasting.do(lambda: storage.set_trial_user_attr(trial_id, "retry", attempt))

    def finish(self, record: TrialRecord, spent: Mapping[str, Any] | None = None) -> None:
        """Make the record's final state the trial's, with its reports and reason.

        spent: what the search had spent by then.
        """
        storage, tables, trial_id = self._study._storage, self._tables, self._ids[record.number]
        outcome = {
            "state": str(record.state),
            "reason": record.reason,
            "reports": [_plain(report) for report in record.reports],
            "spent": spent,
        }
        state = _OPTUNA_STATE[record.state]
        value = None if state == TrialState.FAIL else record.objective
        if tables is None:
            storage.set_trial_user_attr(trial_id, "outcome", outcome)
            storage.set_trial_state_values(trial_id, state, None if value is None else [value])
        else:
            self._outlasting.do(lambda: finish_trial(tables, trial_id, state, value, {"outcome": outcome}))


def record_of(trial: FrozenTrial) -> TrialRecord:
    """The record of a trial as the database has it.

    Until a trial ends, its reports are known here by step and objective only; the rest is in its checkpoint.
    """
    attributes = trial.user_attrs["trial"]
    outcome = trial.user_attrs.get("outcome") if trial.state.is_finished() else None
    start_ms = _milliseconds(trial.datetime_start)
    if outcome is not None:
        reports = tuple(Report(**report) for report in outcome["reports"])
        state = State(outcome["state"])
    else:
        reports = tuple(
            Report(step=step, objective=value, time_ms=start_ms or 0)
            for step, value in sorted(trial.intermediate_values.items())
        )
        state = State.FAILED if trial.state == TrialState.FAIL else State.RUNNING
    return TrialRecord(
        number=trial.number,
        purpose=Purpose(attributes["stage"]),
        state=state,
        schedule=NoiseSchedule.from_dict(attributes["schedule"]),
        seed=attributes["seed"],
        params=trial.params,
        preset=attributes.get("preset"),
        replicate_of=attributes.get("replicate_of"),
        condemned_at=trial.user_attrs.get("condemned_at"),
        micro_batch=trial.user_attrs.get("retry", {}).get("micro_batch"),
        reports=reports,
        reason=outcome["reason"] if outcome else None,
        start_ms=start_ms,
        end_ms=_milliseconds(trial.datetime_complete),
    )


def spent_by(trial: FrozenTrial) -> dict[str, Any] | None:
    """What the search had spent when this trial ended."""
    outcome = trial.user_attrs.get("outcome")
    return outcome.get("spent") if outcome and trial.state.is_finished() else None


def _plain(report: Report) -> dict[str, Any]:
    return {
        "step": report.step,
        "objective": report.objective,
        "time_ms": report.time_ms,
        "metrics": dict(report.metrics),
    }


def _milliseconds(when: datetime.datetime | None) -> int | None:
    return None if when is None else int(when.timestamp() * 1000)


def _outlasting(url: str) -> Outlasting:
    return Outlasting(f"the study's database {shown_url(url)}")


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def canonical(value: Any) -> str:
    """JSON text that is equal for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
