"""The Optuna study in its database: the one truth of a search.

Written by the driver alone, but for the queue of Optuna's `enqueue_trial`. Every write is one small transaction, so a
driver that is killed loses nothing that it had acknowledged; whatever else exists (MLflow, leaderboard, files) can be
rebuilt from here. A database that is killed is waited for, and the write that met its end is done again.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import IntegrityError

from search.decision import Decision
from search.errors import InputError
from search.machine.urls import shown_url
from search.policy.trials import Enqueued, KeptTrial, NewTrial
from search.record import Report, TrialRecord
from search.study import whole
from search.study.database import has_study, is_missing, open_storage
from search.study.outage import Away, Outlasting, readable
from search.study.queue import Queue
from search.study.records import OPTUNA_STATE, canonical, plain, running
from search.study.rows import (
    begin_waiting,
    change_study,
    finish_trial,
    insert_report,
    insert_study,
    insert_trial,
    refuse_waiting,
    rows_after,
    trial_ids,
)
from search.study.sums import Facts, Sums, began_sum, ended_sum, ended_sum_of
from search.study.waiting import REFUSED, Row


class StudyStore:
    """The trials of one search as its policy needs them (`search.policy.trials.Trials`), kept in Optuna's tables.

    header: facts of the whole search (its resolved file, checksums, versions), kept as study attributes. What other
    programs have put into the queue of the study (Optuna's `enqueue_trial`) is no trial of ours until it is begun.
    """

    def __init__(self, study: Study, storage: RDBStorage, outlasting: Outlasting, where: str, sums: Sums):
        """storage: where the study is, for messages `where`. sums: what it was told of its trials."""
        self._study, self._tables, self._outlasting = study, storage, outlasting
        self._where, self._sums = where, sums
        self._header: dict[str, Any] | None = None
        self._known_ids: dict[int, int] | None = None  # trial number -> id; None: not looked up yet
        self._queue = Queue(self._tables, study._study_id, where)

    @classmethod
    def open(cls, url: str, name: str, sums: Path | None = None) -> "StudyStore | None":
        """The study `name`, None where it does not exist yet. DamagedStudy if it did, or cannot be read.

        sums: the file that says what the study was told of its trials; None: none is kept.
        """
        where, kept = _where(url), Sums(sums)
        facts = kept.read()
        whole.check_file(url)
        storage = None if is_missing(url) else open_storage(url)
        with readable(where):
            if storage is None or not has_study(storage, name):
                whole.check_there(facts, where, sums)
                return None
            study = optuna.load_study(study_name=name, storage=storage)
            store = cls(study, storage, Outlasting(where), where, kept)
            is_ours = study.directions == [StudyDirection.MINIMIZE] and "search" in store.header
        if not is_ours:
            if facts.began:
                whole.check_header(store.header, where)
                raise whole.unreadable([], where, LookupError("it does not minimise any more"))
            raise InputError(
                f"the study {name!r} in {shown_url(url)} was not made by this program: "
                "choose another `name` or `storage.study_url`"
            )
        return store

    @classmethod
    def create(
        cls,
        url: str,
        name: str,
        header: Mapping[str, Any],
        outlasting: Outlasting | None = None,
        sums: Path | None = None,
    ) -> "StudyStore":
        """A new study; InputError if the name is taken. outlasting: how long a database that is away is waited for."""
        assert "search" in header  # `open` knows by it that a study is ours
        storage = open_storage(url)
        try:
            insert_study(storage, name, header)
        except IntegrityError as error:
            raise InputError(f"a search named {name!r} exists already in {shown_url(url)}") from error
        study = optuna.load_study(study_name=name, storage=storage)
        store = cls(study, storage, outlasting or Outlasting(_where(url)), _where(url), Sums(sums))
        store.complete_sums()
        return store

    def close(self) -> None:
        """Leave the database."""
        self._sums.close()
        self._tables.engine.dispose()

    def give_up_when(self, gives_up: Callable[[], bool]) -> None:
        """Wait for a lost database no longer than until `gives_up()`."""
        self._outlasting.gives_up = gives_up

    @property
    def away(self) -> Away | None:
        """The database while it is waited for, since when in seconds of `time.monotonic`."""
        return self._outlasting.away

    @property
    def header(self) -> dict[str, Any]:
        """The facts given at creation."""
        if self._header is None:
            with readable(self._where):
                self._header = self._outlasting.do(lambda: self._study.user_attrs)
        return self._header

    def check_header(self) -> None:
        """DamagedStudy where facts that every search keeps are lost."""
        whole.check_header(self.header, self._where)

    def set_header(self, key: str, value: Any) -> None:
        """Add or replace one fact of the search."""
        self.set_headers({key: value})

    def set_headers(self, facts: Mapping[str, Any]) -> None:
        """Add or replace facts of the search, all at once."""
        self._outlasting.do(lambda: change_study(self._tables, self._study._study_id, facts))
        self._header = {**self.header, **facts}

    # What is read

    def load(self) -> list[FrozenTrial]:
        """All trials of ours by number. DamagedStudy where some are lost, or not as they were written."""
        return self._loaded()[0]

    def _loaded(self) -> tuple[list[FrozenTrial], list[str]]:
        """The trials, and what they have lost and can do without, in one line each."""
        facts = self._sums.read()  # first: a driver may be adding to both
        check = whole.Check(facts, self._where, self._sums.path)
        check.study(self.header.get("study_id"))
        found = self._outlasting.do(self._all_trials)
        with readable(self._where):
            ours, notes = whole.ours(found, check, self._queue)
        self._known_ids = {number: trial._trial_id for number, trial in ours.items()}
        return list(ours.values()), notes

    def _all_trials(self) -> list[FrozenTrial]:
        try:
            return self._study.get_trials(deepcopy=False)
        except whole.UNREADABLE as error:
            bad = []
            for trial_id, number in trial_ids(self._tables, self._study._study_id):
                try:
                    self._tables.get_trial(trial_id)
                except whole.UNREADABLE:
                    bad.append(number)
            raise whole.unreadable(bad, self._where, error) from error

    @property
    def _ids(self) -> dict[int, int]:
        if self._known_ids is None:
            self.load()
        assert self._known_ids is not None
        return self._known_ids

    def records(self) -> list[TrialRecord]:
        """All trials by number, as the rest of the program sees them."""
        return [trial.record for trial in self.read()]

    def read(self) -> list[KeptTrial]:
        """All trials by number, as the policy needs them."""
        return whole.kept(self.load(), self.header, self._where)

    def complete_sums(self) -> list[str]:
        """Have the file of checksums say all that the study knows: when a driver begins.

        What the study has lost, and can do without, in one line each.
        """
        trials, notes = self._loaded()
        self._sums.write(
            Facts(
                self.header.get("study_id"),
                {trial.number: began_sum(trial) for trial in trials},
                {trial.number: ended_sum_of(trial) for trial in trials if trial.state.is_finished()},
            )
        )
        return notes

    @property
    def first_unknown(self) -> int:
        """The number after the last one that was ever begun."""
        return max(self._ids, default=-1) + 1

    # What is written

    def add(self, trial: NewTrial) -> int:
        """Keep a trial as RUNNING, in one transaction; returns its number."""
        assert self._ids is not None
        content, study_id, seen = running(trial), self._study._study_id, self._queue.seen

        def create() -> Row:
            return insert_trial(self._tables, study_id, content, seen)

        def create_unless_it_was() -> Row:
            for row in rows_after(self._tables, study_id, seen.trial_id):
                if canonical(self._tables.get_trial(row.trial_id).user_attrs) == canonical(
                    content.user_attrs
                ):
                    return row
            return create()

        row = self._outlasting.do(create, create_unless_it_was)
        self._outlasting.do(lambda: self._queue.added(row))
        self._keep_begun(row.trial_id, row.number, content)
        return row.number

    def enqueued(self) -> Sequence[Enqueued]:
        """What other programs have put into the queue and was not begun or refused yet, in its order."""
        assert self._ids is not None
        self._outlasting.do(self._queue.look)
        return self._queue.waiting

    def begin(self, number: int, trial: NewTrial) -> None:
        """Make what waits as `number` the RUNNING `trial`."""
        trial_id, content = self._queue.id_of(number), running(trial)
        self._outlasting.do(lambda: begin_waiting(self._tables, trial_id, content))
        self._queue.leaves(number)
        self._keep_begun(trial_id, number, content)

    def refuse(self, number: int, reason: str) -> None:
        """End what waits as `number`: it can never be trained."""
        trial_id = self._queue.id_of(number)
        self._outlasting.do(lambda: refuse_waiting(self._tables, trial_id, {REFUSED: reason}))
        self._queue.leaves(number)

    def _keep_begun(self, trial_id: int, number: int, content: FrozenTrial) -> None:
        self._ids[number] = trial_id
        self._sums.add("began", number, began_sum(content))

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
            "reports": [plain(report) for report in record.reports],
            "spent": spent,
        }
        state, trial_id = OPTUNA_STATE[record.state], self._ids[record.number]
        value = None if state == TrialState.FAIL else record.objective
        self._outlasting.do(lambda: finish_trial(self._tables, trial_id, state, value, {"outcome": outcome}))
        self._sums.add("ended", record.number, ended_sum(record, outcome))


def _where(url: str) -> str:
    return f"the study's database {shown_url(url)}"
