"""A database that goes away in the middle of a write: the write is there once, whatever was lost of it."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import OperationalError, ProgrammingError

from search.decision import Decision
from search.errors import OperationFailed
from search.policy.trials import NewTrial
from search.record import Purpose, Report, State
from search.study import store as study
from search.study.outage import Outlasting, is_outage
from search.study.store import StudyStore
from spaces import PRESETS
from tests.clock import Clock
from tests.records import record

SCHEDULE = PRESETS["ict"].schedule
REPORTS = (Report(1, 9.0, 1), Report(2, 8.0, 2))
HEADER = {"search": {"name": "s"}, "study_id": "x"}


def lost() -> StorageInternalError:
    """As Optuna raises it when PostgreSQL's server goes away."""
    error = StorageInternalError("An exception is raised during the commit.")
    error.__cause__ = OperationalError("update", {}, Exception("server closed the connection unexpectedly"))
    return error


def outlasting(patience: float = 300.0) -> tuple[Outlasting, Clock]:
    clock = Clock(0.0)
    return Outlasting("the database", patience=patience, clock=clock, sleep=clock.sleep), clock


class Flaky:
    """Loses the database `times` times in every write, before it is done or when only its answer is due."""

    WRITES = (
        "set_trial_user_attr",
        "set_study_user_attr",
    )

    def __init__(self, monkeypatch: pytest.MonkeyPatch, when: str, times: int):
        self.when, self.times, self.left = when, times, 0
        for name in self.WRITES:
            monkeypatch.setattr(RDBStorage, name, self._flaky(getattr(RDBStorage, name)))
        for name in ("insert_trial", "insert_report", "finish_trial"):
            monkeypatch.setattr(study, name, self._flaky(getattr(study, name)))

    def _flaky(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def flaky(*args: Any, **kwargs: Any) -> Any:
            if self.left == 0:
                return write(*args, **kwargs)
            self.left -= 1
            if self.when == "after":
                write(*args, **kwargs)
            raise lost()

        return flaky

    def next_write(self) -> None:
        self.left = self.times


@pytest.fixture(params=["before", "after"])
def flaky(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Flaky:
    return Flaky(monkeypatch, request.param, times=2)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StudyStore]:
    waiting, _ = outlasting()
    found = StudyStore.create(f"sqlite:///{tmp_path / 'study.db'}", "s", HEADER, waiting)
    yield found
    found.close()


def new_trial(seed: int) -> NewTrial:
    decision = Decision("started", "proposed", {"algorithm": "random"})
    return NewTrial(purpose=Purpose.SEARCH, schedule=SCHEDULE, seed=seed, decision=decision)


def test_every_write_that_meets_an_outage_is_there_exactly_once(
    store: StudyStore, flaky: Flaky, tmp_path: Path
) -> None:
    for expected in range(3):
        flaky.next_write()
        number = store.add(new_trial(expected))
        assert number == expected
        for step, value in ((1, 9.0), (2, 8.0)):
            flaky.next_write()
            store.report(number, Report(step, value, 0))
        flaky.next_write()
        store.condemn(number, 1, Decision("condemned", "audit", {"rank": 2, "of": 2, "step": 1}))
        flaky.next_write()
        store.finish(record(number, *REPORTS), {"hours": 1.0})
        flaky.next_write()
        store.set_header("note", expected)
    again = StudyStore.open(f"sqlite:///{tmp_path / 'study.db'}", "s")
    assert again is not None
    trials = again.load()
    assert [trial.number for trial in trials] == [0, 1, 2]
    assert [trial.user_attrs["trial"]["seed"] for trial in trials] == [0, 1, 2]
    for trial, found in zip(trials, again.records(), strict=True):
        assert trial.intermediate_values == {1: 9.0, 2: 8.0}
        assert found.state is State.COMPLETE
        assert found.condemned_at == 1
        assert found.reports == REPORTS
    assert again.header["note"] == store.header["note"] == 2
    again.close()


def test_an_outage_is_waited_for_with_growing_pauses_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    database, clock = outlasting()

    def work() -> str:
        if clock.now < 6:
            raise lost()
        return "done"

    assert database.do(work) == "done"
    assert 6 <= clock.now <= 12
    assert [line.message.partition(" (")[0] for line in caplog.records] == [
        "the database does not answer",
        f"the database answers again after {clock.now:.0f} s",
    ]


def full() -> OperationalError:
    """As SQLite says that the disk is full."""
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return OperationalError("insert", {}, error)


def test_while_a_full_disk_is_waited_for_it_is_told_and_never_silent_for_longer_than_the_wait_so_far(
    caplog: pytest.LogCaptureFixture,
) -> None:
    database, _ = outlasting(patience=300)
    away = []

    def work() -> None:
        away.append(database.away)
        raise full()

    with pytest.raises(OperationFailed, match="database or disk is full; waited 30"):
        database.do(work)
    told = [record.getMessage() for record in caplog.records]
    assert told[0] == "the database does not answer (database or disk is full); waiting"
    assert [int(line.split(" for ")[1].split()[0]) // 10 for line in told[1:]] == [6, 12, 24]
    assert away[0] is None and {(each.whom, each.since) for each in away[1:] if each is not None} == {
        ("the database (database or disk is full)", 0.0)
    }
    assert database.away is None


def test_after_the_patience_the_search_stops_with_what_to_do_and_waits_no_second_time() -> None:
    database, clock = outlasting(patience=300)

    def work() -> None:
        raise lost()

    with pytest.raises(OperationFailed, match=r"server closed the connection.*the same command goes on"):
        database.do(work)
    assert 300 <= clock.now <= 310
    before = clock.now
    with pytest.raises(OperationFailed):
        database.do(work)
    assert clock.now == before


def test_ctrl_c_ends_the_waiting() -> None:
    database, clock = outlasting()
    database.gives_up = lambda: clock.now > 3

    def work() -> None:
        raise lost()

    with pytest.raises(OperationFailed):
        database.do(work)
    assert clock.now < 10


def _sqlite_error(code: int) -> OperationalError:
    error = sqlite3.OperationalError("?")
    error.sqlite_errorcode = code
    return OperationalError("insert", {}, error)


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (lost(), True),
        (OperationalError("x", {}, Exception("the database system is starting up")), True),
        (ProgrammingError("x", {}, Exception("column does not exist")), False),
        (ProgrammingError("x", {}, Exception("gone"), connection_invalidated=True), True),
        (_sqlite_error(sqlite3.SQLITE_BUSY), True),
        (_sqlite_error(sqlite3.SQLITE_FULL), True),
        (_sqlite_error(sqlite3.SQLITE_READONLY), False),
        (StorageInternalError("x"), False),
        (ValueError("x"), False),
    ],
)
def test_only_what_may_pass_is_waited_for(error: Exception, passes: bool) -> None:
    assert is_outage(error) is passes


def test_an_error_that_is_none_of_the_databases_comes_out_as_it_is() -> None:
    database, clock = outlasting()

    def work() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        database.do(work)
    assert clock.now == 0
