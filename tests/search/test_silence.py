"""Silence has a limit: which lines are said of whom, on a fake clock."""

import io
import threading
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from search.engine.worker_start import START_SECONDS, WorkerStart
from search.errors import OperationFailed
from search.machine.last_words import last_words, newest_with_words
from search.running.driver import study_away
from search.screen.silence import SILENCE_SECONDS, Silence, Waiting, no_log
from search.screen.view import STUDY, ProgressView
from search.study.outage import Away
from search.tracking.process import TrackingError
from search.tracking.tracker import Tracker
from tests.clock import Clock
from tests.integration.running import until
from tests.records import record


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "worker.err"
    path.write_text("imported\nwaiting for   the lock\n\n")
    return path


def plain_view(clock: Clock) -> tuple[ProgressView, io.StringIO]:
    out = io.StringIO()
    console = Console(file=out, force_terminal=False, width=80)
    return ProgressView("digits", "fd_digits_cnn", 2000, console=console, clock=clock), out


def seconds_of_lines(view: ProgressView, clock: Clock, seconds: int, out: io.StringIO) -> list[int]:
    """When a line was said while a clock went on for so long without anything else."""
    found = []
    for second in range(1, seconds + 1):
        clock.now += 1
        before = out.getvalue()
        view.tick()
        if out.getvalue() != before:
            found.append(second)
    return found


def test_lines_come_after_the_limit_and_then_grow_apart() -> None:
    silence, said = Silence(), []
    for now in range(0, 4 * 3600 + 1):
        if silence.due("ray", Waiting("Ray", 0.0), now) is not None:
            said.append(now)
    assert said[:6] == [60, 120, 240, 480, 960, 1920]
    assert all(later - earlier <= 3600 for earlier, later in pairwise(said))
    assert silence.due("ray", Waiting("Ray", 15_000.0), 15_059) is None  # it was heard of
    assert silence.due("ray", Waiting("Ray", 15_000.0), 15_060) == "no sign of life for 1m 00s from Ray"


def test_a_part_that_is_silent_is_told_with_what_its_log_says_last(
    clock: Clock, log: Path, caplog: pytest.LogCaptureFixture
) -> None:
    view, out = plain_view(clock)
    with view.waiting("Ray, which is to start", lambda: log):
        assert seconds_of_lines(view, clock, 250, out) == [60, 120, 240]
    line = f'no sign of life for 1m 00s from Ray, which is to start; last in {log}: "waiting for the lock"'
    assert out.getvalue().splitlines()[0] == f" 1m 00s  {line}"
    assert line in [entry.message for entry in caplog.records]
    assert seconds_of_lines(view, clock, 300, out) == []


def test_a_live_view_shows_it_too(clock: Clock) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=30, _environ={"TERM": "xterm"})
    view = ProgressView("digits", "fd", 2000, console=console, clock=clock)
    with view.waiting("the preparation of data"):
        clock.now += SILENCE_SECONDS
        view.tick()
    with console.capture() as captured:
        console.print(view.render())
    assert "no sign of life for 1m 00s from the preparation of data" in captured.get()


def test_while_the_view_is_open_somebody_looks(clock: Clock) -> None:
    view, out = plain_view(clock)
    with view, view.waiting("somebody"):
        clock.now += SILENCE_SECONDS
        until(lambda: "from somebody" in out.getvalue(), 20, "the line is there")
    assert not [thread for thread in threading.enumerate() if thread.name == "progress"]


def test_workers_that_do_not_start_are_told_then_one_trial_that_is_silent(clock: Clock, log: Path) -> None:
    view, out = plain_view(clock)
    with view.listening(lambda: log):
        view.trial_started(record(0))
        view.trial_started(record(1))

        def wait(seconds: int, *alive: int) -> Sequence[str]:
            before = len(out.getvalue().splitlines())
            for _ in range(seconds):
                clock.now += 1
                view.turn()
                for number in alive:
                    view.trial_progress(number, 10)
                view.tick()
            lines = out.getvalue().splitlines()[before:]
            return [line[9:] for line in lines if "sign of life" in line]

        [first, second] = wait(120)
        said = f'; last in {log}: "waiting for the lock"'
        assert first == f"no sign of life for 1m 00s from the workers, which are to start{said}"
        assert second == f"no sign of life for 2m 00s from the workers, which are to start{said}"
        assert wait(120, 0) == [f"no sign of life for 4m 00s from trial 1, which waits for a worker{said}"]
        assert wait(30, 0, 1) == []
        [line] = wait(60, 0)
        assert line.startswith("no sign of life for 1m 00s from trial 1 (at step 10)")
        view.trial_ended(record(1, (2000, 5.0)))
        view.trial_progress(1, 2000)  # the driver shows the end before the sign of life that brought it
        assert wait(200, 0) == []
    assert seconds_of_lines(view, clock, 300, out) == []


def test_workers_that_do_not_start_are_told_where_they_get_trials_only_then(clock: Clock) -> None:
    view, out = plain_view(clock)
    clock.now += 1000
    with view.listening():
        for second in range(1, 125):
            view.turn()
            view.tick()
            said = out.getvalue().count("from the workers, which are to start")
            assert said == (second > 60) + (second > 120)
            clock.now += 1


def test_a_trial_that_came_back_from_a_long_silence_has_twice_that_time(clock: Clock) -> None:
    view, out = plain_view(clock)
    with view.listening():
        view.trial_started(record(0))
        for seconds in (1, 200, 399):
            view.trial_progress(0, 100)
            clock.now += seconds
            view.turn()
            view.tick()
        said = [line for line in out.getvalue().splitlines() if "sign of life" in line]
    assert len(said) == 1 and "for 3m 20s from trial 0" in said[0]


def test_while_the_driver_is_busy_its_trials_are_not_blamed(clock: Clock, log: Path) -> None:
    view, out = plain_view(clock)
    with view.listening(driver_log=lambda: log):
        view.trial_started(record(0))
        view.trial_progress(0, 10)
        assert seconds_of_lines(view, clock, 130, out) == [60, 120]
    lines = out.getvalue().splitlines()
    assert all(
        "from the driver, which decides what comes next and has it written; last in" in line for line in lines
    )


def test_a_study_on_a_full_disk_is_told_in_the_place_of_the_driver_that_waits_for_it(
    clock: Clock, log: Path
) -> None:
    view, out = plain_view(clock)
    away: list[Waiting] = []
    view.watch(STUDY, lambda: away[0] if away else None)
    with view.listening(driver_log=lambda: log):
        away.append(Waiting("the study's database x (database or disk is full)", clock.now, lambda: log))
        assert seconds_of_lines(view, clock, 274, out) == [60, 120, 240]
    lines = out.getvalue().splitlines()
    assert len(lines) == 3 and all(
        "from the study's database x (database or disk is full);" in line for line in lines
    )


def test_a_search_that_waits_for_its_study_is_told_in_every_phase(clock: Clock) -> None:
    """Between the phases nothing else is waited for: the study is, wherever the driver is."""
    view, out = plain_view(clock)
    search: Any = SimpleNamespace(store=SimpleNamespace(away=None))
    view.watch(STUDY, partial(study_away, search, no_log))
    assert seconds_of_lines(view, clock, 100, out) == []
    search.store.away = Away("the study's database", clock.now)
    assert seconds_of_lines(view, clock, 100, out) == [60]


class Lost:
    """MLflow's part of a tracker, which takes nothing until it is back."""

    def __init__(self) -> None:
        self.is_back = threading.Event()

    def sync(self, record: object) -> None:
        if not self.is_back.is_set():
            raise TrackingError("Connection refused", refusal=False)

    def reload(self) -> None:
        pass

    @staticmethod
    def is_refusal(error: Exception) -> bool:
        return False


def test_how_long_mlflow_takes_nothing_is_known(clock: Clock) -> None:
    away = Lost()
    tracker = Tracker(away, linger=0.0, clock=clock)  # type: ignore[arg-type]
    assert tracker.silent_since is None
    tracker.put(record(0))
    clock.now += 70
    tracker.put(record(1))
    assert tracker.silent_since == 1000.0
    until(lambda: tracker.error is not None, 20, "it was tried")
    away.is_back.set()
    until(lambda: tracker.silent_since is None, 20, "all is taken")
    tracker.close(1.0)


def test_workers_that_never_start_end_the_search_here_and_not_on_a_cluster(
    clock: Clock, log: Path, caplog: pytest.LogCaptureFixture
) -> None:
    here, elsewhere = WorkerStart(START_SECONDS, lambda: log, clock), WorkerStart(None, lambda: log, clock)
    clock.now += 2 * START_SECONDS
    for start in (here, elsewhere):
        start.check()  # no trial was given out
        start.begin()
    clock.now += START_SECONDS - 1
    here.check()
    clock.now += 1
    elsewhere.check()
    with pytest.raises(
        OperationFailed, match=r"no worker has started in 10 minutes; .*waiting for the lock"
    ) as raised:
        here.check()
    assert "python -m search doctor" in str(raised.value) and "\n" not in str(raised.value)
    assert "imported\nwaiting" in caplog.text  # Ray's log goes with the search, its end is in ours
    here.heard()
    here.check()


def test_the_last_words_of_a_log(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    assert last_words(path) == ""
    path.write_bytes(b"a\n" * 10_000 + b"\xff" + b"x" * 300 + b"\nmine: y\n\n")
    assert last_words(path) == "mine: y"
    assert last_words(path, but="mine:") == ("\ufffd" + "x" * 300)[:200]
    empty, other = tmp_path / "empty", tmp_path / "other"
    empty.touch()
    other.write_text("z")
    assert newest_with_words([empty, tmp_path / "none"]) is None
    assert newest_with_words([empty, other, path]) in (other, path)
