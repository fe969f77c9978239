"""The Optuna study in its database: the one truth of a search.

Written by the driver alone. Every write is one small transaction, so a driver that is killed loses nothing
that it had acknowledged; whatever else exists (MLflow, leaderboard, files) can be rebuilt from here. A database that
is killed is waited for, and the write that met its end is done again.
"""

import datetime
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import event, make_url
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from search.decision import Decision
from search.errors import InputError
from search.machine.urls import shown_url
from search.policy.trials import KeptTrial, NewTrial
from search.record import Purpose, Report, State, TrialRecord
from search.study.outage import Outlasting
from search.study.rows import finish_trial, insert_report, insert_study, insert_trial
from spaces import NoiseSchedule
from trainable.task import OWN

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
    """The trials of one search as its policy needs them (`search.policy.trials.Trials`), kept in Optuna's tables.

    header: facts of the whole search (its resolved file, checksums, versions), kept as study attributes.
    """

    def __init__(self, study: Study, storage: RDBStorage, outlasting: Outlasting):
        """storage: where the study is."""
        self._study, self._tables, self._outlasting = study, storage, outlasting
        self._header: dict[str, Any] | None = None
        self._known_ids: dict[int, int] | None = None  # trial number -> id; None: not looked up yet

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
        return cls(study, storage, _outlasting(url))

    @classmethod
    def create(
        cls, url: str, name: str, header: Mapping[str, Any], outlasting: Outlasting | None = None
    ) -> "StudyStore":
        """A new study; InputError if the name is taken. outlasting: how long a database that is away is waited for."""
        assert "search" in header  # `open` knows by it that a study is ours
        storage = open_storage(url)
        try:
            insert_study(storage, name, header)
        except IntegrityError as error:
            raise InputError(f"a search named {name!r} exists already in {shown_url(url)}") from error
        study = optuna.load_study(study_name=name, storage=storage)
        return cls(study, storage, outlasting or _outlasting(url))

    def close(self) -> None:
        """Leave the database."""
        self._tables.engine.dispose()

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
        trials = self._outlasting.do(lambda: self._study.get_trials(deepcopy=False))
        self._known_ids = {trial.number: trial._trial_id for trial in trials}
        return trials

    @property
    def _ids(self) -> dict[int, int]:
        if self._known_ids is None:
            self.load()
        assert self._known_ids is not None
        return self._known_ids

    def records(self) -> list[TrialRecord]:
        """All trials by number, as the rest of the program sees them."""
        return [record_of(trial) for trial in self.load()]

    def read(self) -> list[KeptTrial]:
        """All trials by number, as the policy needs them."""
        return [KeptTrial(record_of(trial), trial.distributions, _spent_by(trial)) for trial in self.load()]

    def add(self, trial: NewTrial) -> int:
        """Keep a trial as RUNNING, in one transaction; returns its number."""
        number, running = len(self._ids), _running(trial)

        def create() -> int:
            return insert_trial(self._tables, self._study._study_id, number, running)

        def create_unless_it_was() -> int:
            trial_id = self._id_of(number)
            if trial_id is None:
                return create()
            found = self._tables.get_trial(trial_id).user_attrs
            assert canonical(found) == canonical(running.user_attrs), WRITTEN_BY_ANOTHER
            return trial_id

        trial_id = self._outlasting.do(create, create_unless_it_was)
        # Optuna's storage remembers the ids that it has looked up.
        assert self._outlasting.do(lambda: self._id_of(number)) == trial_id, WRITTEN_BY_ANOTHER
        self._ids[number] = trial_id
        return number

    def _id_of(self, number: int) -> int | None:
        try:
            return self._study._storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number)
        except KeyError:
            return None

    def report(self, number: int, report: Report) -> None:
        """Keep the objective at a rung; the first value of a step wins."""
        trial_id = self._ids[number]
        self._outlasting.do(lambda: insert_report(self._tables, trial_id, report.step, report.objective))

    def condemn(self, number: int, step: int, decision: Decision) -> None:
        """Keep that the stopping rule would have ended the trial at `step`."""
        self._set(number, "condemned_because", decision.to_dict())
        self._set(number, "condemned_at", step)

    def retry(self, number: int, micro_batch: int, reason: str | None, decision: Decision) -> None:
        """Keep that the trial is tried once more with so many images at once."""
        attempt = {"micro_batch": micro_batch, "reason": reason, "decision": decision.to_dict()}
        self._set(number, "retry", attempt)

    def _set(self, number: int, key: str, value: Any) -> None:
        trial_id = self._ids[number]
        self._outlasting.do(lambda: self._study._storage.set_trial_user_attr(trial_id, key, value))

    def finish(self, record: TrialRecord, spent: Mapping[str, Any]) -> None:
        """Make the record's final state the trial's, with its reports and decisions. spent: by the search so far."""
        outcome = {
            "state": str(record.state),
            "reason": record.reason,
            "decisions": [decision.to_dict() for decision in record.decisions],
            "reports": [_plain(report) for report in record.reports],
            "spent": spent,
        }
        state, trial_id = _OPTUNA_STATE[record.state], self._ids[record.number]
        value = None if state == TrialState.FAIL else record.objective
        self._outlasting.do(lambda: finish_trial(self._tables, trial_id, state, value, {"outcome": outcome}))


WRITTEN_BY_ANOTHER = "the study is written by another program"


def _running(trial: NewTrial) -> FrozenTrial:
    """A RUNNING trial of Optuna's that carries what `record_of` needs."""
    attributes: dict[str, Any] = {
        "stage": str(trial.purpose),
        "seed": trial.seed,
        "schedule": trial.schedule.to_dict(),
        "decision": trial.decision.to_dict(),
    }
    if trial.preset is not None:
        attributes["preset"] = trial.preset
    if trial.replicate_of is not None:
        attributes["replicate_of"] = trial.replicate_of
    if trial.setting != OWN:
        attributes["setting"] = trial.setting
    return create_trial(
        state=TrialState.RUNNING,
        params=dict(trial.params),
        distributions=dict(trial.distributions),
        user_attrs={"trial": attributes},
    )


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
        setting=attributes.get("setting", OWN),
        condemned_at=trial.user_attrs.get("condemned_at"),
        micro_batch=trial.user_attrs.get("retry", {}).get("micro_batch"),
        decisions=tuple(_decisions(trial)),
        reports=reports,
        reason=outcome["reason"] if outcome else None,
        start_ms=start_ms,
        end_ms=_milliseconds(trial.datetime_complete),
    )


def _decisions(trial: FrozenTrial) -> Iterator[Decision]:
    """What was decided about a trial, as far as it was kept: version 0.2.0 and earlier kept nothing."""
    attributes = trial.user_attrs
    if "outcome" in attributes and trial.state.is_finished():
        found = attributes["outcome"].get("decisions", [])
    else:
        found = [
            attributes["trial"].get("decision"),
            attributes.get("condemned_because") if "condemned_at" in attributes else None,
            attributes.get("retry", {}).get("decision"),
        ]
    return (Decision(**plain) for plain in found if plain is not None)


def _spent_by(trial: FrozenTrial) -> dict[str, Any] | None:
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
