"""What is shown while a search runs, on a fake clock."""

import io
import os
import re

import pytest
from rich.console import Console

from search.decision import Decision
from search.record import Purpose, State, TrialRecord
from search.screen.console import ReadConsole
from search.screen.live_state import best_of
from search.screen.live_text import ended_text
from search.screen.view import ProgressView
from search.screen.words import rate_text, seconds_text, value_text
from spaces import PRESETS
from spaces.sparkline import sparkline
from tests.clock import Clock
from tests.records import record

TOTALS = {"baselines": 2, "search": 3, "confirm": 4}


@pytest.fixture
def clock() -> Clock:
    return Clock()


def plain_view(clock: Clock, **totals: int) -> tuple[ProgressView, io.StringIO]:
    out = io.StringIO()
    console = Console(file=out, force_terminal=False, width=80)
    view = ProgressView("digits", "fd_digits_cnn", 2000, console=console, clock=clock)
    view.expect(totals)
    return view, out


def shown(view: ProgressView, width: int = 100) -> list[str]:
    """The live view's lines at a terminal of this width."""
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    with console.capture() as captured:
        console.print(view.render())
    return captured.get().splitlines()


def test_why_a_trial_was_stopped_is_shown() -> None:
    rung = Decision("stopped", "rung", {"rank": 4, "of": 9, "step": 1000})
    stopped = record(3, (1000, 98.0), state=State.STOPPED, decisions=(rung,))
    text = ended_text(stopped, "fd", 2000, is_best=False)
    assert text == "trial 3 stopped at step 1000 of 2000: fd 98, 4th of 9 at rung 1000"


def test_without_a_terminal_each_event_is_one_unbroken_line_without_control_characters(clock: Clock) -> None:
    view, out = plain_view(clock)
    with view:
        view.phase("baselines", 2)
        view.trial_started(record(0, purpose=Purpose.BASELINE, preset="ict"))
        clock.now += 75
        view.trial_ended(record(0, (1000, 90.0), (2000, 61.234), purpose=Purpose.BASELINE, preset="ict"))
        view.note("MLflow does\nnot answer")
    assert out.getvalue().splitlines() == [
        "     0s  baselines: 2 trials",
        " 1m 15s  trial 0 (ict) done: fd_digits_cnn 61.23, best so far: "
        + PRESETS["ict"].schedule.describe(),
        " 1m 15s  MLflow does not answer",
    ]
    assert "\x1b" not in out.getvalue()


@pytest.mark.parametrize(
    ("ended", "line"),
    [
        (
            record(3, (1000, 98.0), state=State.STOPPED),
            "trial 3 stopped at step 1000 of 2000: fd_digits_cnn 98: ",
        ),
        (record(3, (2000, 1e9), state=State.DIVERGED), "trial 3 diverged: "),
        (record(3, state=State.FAILED, reason="RuntimeError: no"), "trial 3 failed: RuntimeError: no"),
        (
            record(9, (2000, 70.0), purpose=Purpose.CONFIRM, replicate_of=3, seed=109),
            "trial 9 (trial 3 again, seed 109) done: fd_digits_cnn 70: ",
        ),
    ],
)
def test_an_ended_trial_says_how(ended: TrialRecord, line: str, clock: Clock) -> None:
    view, out = plain_view(clock)
    view.trial_ended(record(0, (2000, 50.0)))
    view.trial_ended(ended)
    assert out.getvalue().splitlines()[1].startswith(f"     0s  {line}")


def test_starts_and_reports_are_not_worth_a_line(clock: Clock) -> None:
    view, out = plain_view(clock)
    view.trial_started(record(0))
    view.trial_progress(0, 500)
    view.trial_reported(record(0, (1000, 90.0), state=State.RUNNING))
    assert out.getvalue() == ""


def test_a_minute_of_silence_is_broken_by_a_summary(clock: Clock) -> None:
    view, out = plain_view(clock, **TOTALS)
    view.phase("search", 3)
    view.trial_started(record(0))
    for second in range(1, 131):
        clock.now = 1000 + second
        view.foresee(10 * second, second, (1750 - second, 1850 - second))
        view.trial_progress(0, 10 * second)
    assert out.getvalue().splitlines() == [
        "     0s  search: 3 trials",
        " 1m 00s  search 0/3; 1 running, 0 stopped, 0 done; 10 steps/s; 1m 00s, about 29m left",
        " 2m 00s  search 0/3; 1 running, 0 stopped, 0 done; 10 steps/s; 2m 00s, about 28m left",
    ]


def test_the_live_view_shows_phase_counts_best_with_schedule_speed_and_time(clock: Clock) -> None:
    view, _ = plain_view(clock, **TOTALS)
    view.phase("baselines", 2)
    view.trial_ended(record(0, (2000, 70.0), purpose=Purpose.BASELINE, preset="ict"))
    view.phase("search", 3)
    view.trial_ended(record(1, (1000, 60.0), state=State.STOPPED))
    view.trial_ended(record(2, (2000, 1e9), state=State.DIVERGED))
    view.trial_started(record(3))
    clock.now += 10
    view.trial_progress(3, 1500)
    view.foresee(1500, 10, (65, 72))
    lines = shown(view)
    assert re.fullmatch(r"digits  search 2/3  10s, about 1m 10s left", lines[0])
    assert lines[1] == "  1 running, 1 stopped, 1 done, 1 diverged  150 steps/s"
    # Trial 1 has the smaller value, but at half the budget.
    assert lines[2] == "  best fd_digits_cnn 70: trial 0 (ict), one seed"
    ict = PRESETS["ict"].schedule
    assert lines[3].rstrip() == f"       |{sparkline(ict)}| {ict.describe()}"
    assert lines[4] == "  #3 1500/2000"
    assert lines[-1].endswith("trial 2 diverged")


def test_before_any_value_the_view_says_so(clock: Clock) -> None:
    view, _ = plain_view(clock)
    assert shown(view) == [
        "digits  starting  0s",
        "  0 running, 0 stopped, 0 done  0 steps/s",
        "  best fd_digits_cnn: none yet",
    ]


def test_while_confirming_the_view_shows_means_over_fresh_seeds(clock: Clock) -> None:
    view, _ = plain_view(clock)
    view.trial_ended(record(0, (2000, 50.0)))
    view.trial_ended(record(1, (2000, 60.0), preset="ict", purpose=Purpose.BASELINE))
    view.phase("confirm", 4)
    for number, of, value in ((2, 0, 80.0), (3, 1, 70.0), (4, 0, 90.0)):
        view.trial_ended(record(number, (2000, value), purpose=Purpose.CONFIRM, replicate_of=of))
    lines = shown(view)
    assert lines[0].startswith("digits  confirm 3/4")
    assert lines[2] == "  best fd_digits_cnn 50: trial 0, one seed"
    assert lines[4] == "  mean fd_digits_cnn 70 over 1 fresh seed: trial 1 (ict)"
    assert lines[5] == "  mean fd_digits_cnn 85 over 2 fresh seeds: trial 0"


@pytest.mark.parametrize("width", [20, 40, 79, 200])
def test_no_line_is_wider_than_the_terminal(width: int, clock: Clock) -> None:
    view, _ = plain_view(clock, **TOTALS)
    view.phase("search", 3)
    for number in range(12):
        view.trial_started(record(number))
    view.trial_ended(record(20, (2000, 70.0), purpose=Purpose.BASELINE, preset="ict"))
    view.note("x" * 300)
    lines = shown(view, width)
    assert max(map(len, lines)) <= width
    # The best schedule is never cut.
    schedule = PRESETS["ict"].schedule.describe().replace(" ", "")
    assert schedule in "".join(lines).replace(" ", "")


def test_on_a_terminal_the_view_is_drawn_in_place_and_left_there(clock: Clock) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=30, _environ={"TERM": "xterm"})
    with ProgressView("digits", "fd_digits_cnn", 2000, console=console, clock=clock) as view:
        assert view.is_live
        view.phase("search", 3)
        view.trial_ended(record(0, (2000, 61.234)))
    drawn = out.getvalue()
    assert "\x1b[?25l" in drawn  # the cursor was hidden
    assert "\x1b[?25h" in drawn  # and is back
    assert "best fd_digits_cnn 61.23" in drawn.rpartition("search 1/3")[2]
    view.close()
    assert out.getvalue() == drawn


def test_a_dumb_terminal_gets_plain_lines(clock: Clock) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, _environ={"TERM": "dumb"})
    with ProgressView("digits", "fd_digits_cnn", 2000, console=console, clock=clock) as view:
        view.note("hello")
    assert out.getvalue() == "     0s  hello\n"


def test_trials_of_an_earlier_run_count(clock: Clock) -> None:
    view, _ = plain_view(clock, **TOTALS)
    view.restored([record(0, (2000, 50.0)), record(1, (1000, 60.0), state=State.RUNNING)])
    view.phase("search", 3)
    view.trial_progress(1, 1100)
    assert shown(view)[0].startswith("digits  search 1/3")
    assert "#1 1100/2000" in shown(view)[-2]


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (None, "5s"),
        ((3000.0, 4600.0), "5s, about 1h 02m left"),
        ((3000.0, 4800.0), "5s, 50m to 1h 20m left"),
        ((0.0, 0.4), "5s, about 10s left"),
        ((30.0, 100.0), "5s, 30s to 1m 40s left"),
    ],
)
def test_what_is_left_is_a_range_until_it_is_known_to_a_quarter(
    left: tuple[float, float] | None, text: str, clock: Clock
) -> None:
    view, _ = plain_view(clock, **TOTALS)
    clock.now += 5
    view.foresee(500, 5.0, left)
    assert shown(view)[0] == f"digits  starting  {text}"
    view.close()
    assert "left" not in shown(view)[0]


def test_the_speed_falls_while_nothing_is_heard(clock: Clock) -> None:
    view, _ = plain_view(clock)
    view.foresee(6000, 30.0, None)
    assert "200 steps/s" in shown(view)[1]
    clock.now += 570
    assert "10 steps/s" in shown(view)[1]


def test_best_is_the_smallest_of_those_that_got_furthest() -> None:
    stopped = record(0, (1000, 10.0), state=State.STOPPED)
    done = [record(1, (1000, 5.0), (2000, 40.0), state=State.RUNNING), record(2, (2000, 30.0))]
    diverged = record(3, (2000, 1e9), state=State.DIVERGED)
    assert best_of([stopped, *done, diverged, record(4)]) == done[1]
    assert best_of([stopped, diverged]) == stopped
    assert best_of([]) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (59.4, "59s"),
        (59.6, "1m 00s"),
        (3599, "59m 59s"),
        (3600, "1h 00m"),
        (90000, "1d 01h"),
        (-5, "0s"),
    ],
)
def test_seconds_read_well(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


def test_numbers_read_well() -> None:
    assert [value_text(value) for value in (61.2345, 5.0, 123456.0, 1e9)] == [
        "61.23",
        "5",
        "1.23e+05",
        "1e+09",
    ]
    assert [rate_text(value) for value in (412.3, 1.234, 0.0)] == ["412 steps/s", "1.2 steps/s", "0 steps/s"]


def test_a_reader_that_has_gone_ends_nothing(clock: Clock) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as pipe:
        view = ProgressView(
            "toy", "fd", 600, console=ReadConsole(file=pipe, force_terminal=False), clock=clock
        )
        for _ in range(2):
            view.note("nobody reads this")
        with pytest.raises(BrokenPipeError):
            print("nor this", file=pipe, flush=True)
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)  # what is left in the buffer goes nowhere
