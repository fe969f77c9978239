"""What is shown while a search runs: one calm view on a terminal, plain lines elsewhere.

`Board` holds what is known and is told by plain calls; the functions below it turn it into text; only
`ProgressView` knows of terminals. Time is seconds from a clock that is passed in.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.text import Text

from search.record import Stage, State, TrialRecord
from spaces.sparkline import with_density

RATE_SECONDS = 30.0  # steps/s are a mean over this time
HEARTBEAT_SECONDS = 60.0  # without a terminal, silence is broken this often
_EVENTS = 6
_REFRESH_PER_SECOND = 2.0
_ENDED = (State.STOPPED, State.COMPLETE, State.DIVERGED, State.FAILED)
_WORDS = {
    State.RUNNING: "running",
    State.STOPPED: "stopped",
    State.COMPLETE: "done",
    State.DIVERGED: "diverged",
    State.FAILED: "failed",
}
PHASE_OF = {
    Stage.BASELINE: "baselines",
    Stage.NOISE: "noise floor",
    Stage.SEARCH: "search",
    Stage.REPLICATE: "search",
    Stage.CONFIRM: "confirm",
}


class Rate:
    """Steps per second over the last `RATE_SECONDS`."""

    def __init__(self, now: float):
        self._total = 0
        self._seen: deque[tuple[float, int]] = deque([(now, 0)])

    def add(self, steps: int, now: float) -> None:
        self._total += steps
        self._seen.append((now, self._total))
        self._forget(now)

    @property
    def is_idle(self) -> bool:
        """Whether nothing was ever added."""
        return self._total == 0

    def _forget(self, now: float) -> None:
        # The last entry before the window stays: the steps in the window are counted from it.
        while len(self._seen) > 1 and self._seen[1][0] <= now - RATE_SECONDS:
            self._seen.popleft()

    def per_second(self, now: float) -> float:
        self._forget(now)
        first_time, first_total = self._seen[0]
        elapsed = now - max(first_time, now - RATE_SECONDS)
        return (self._total - first_total) / elapsed if elapsed > 0 else 0.0


class Board:
    """What is known of the search now.

    name: of the search. objective: what is minimised. total_steps: a trial's full budget.
    totals: trials of each phase (`PHASE_OF`), as far as known.
    """

    def __init__(
        self,
        name: str,
        objective: str,
        total_steps: int,
        *,
        now: float,
    ):
        self.name = name
        self.objective = objective
        self.total_steps = total_steps
        self.totals: dict[str, int] = {}
        self.phase = "starting"
        self.over = False
        self.start = now
        self.records: dict[int, TrialRecord] = {}
        self.steps: dict[int, int] = {}
        self.rate = Rate(now)

    def enter(self, phase: str, total: int) -> None:
        self.phase = phase
        if total > 0:
            self.totals[phase] = total

    def put(self, record: TrialRecord) -> None:
        """The record as it is now. Steps done before it was first seen are not counted as speed."""
        self.records[record.number] = record
        self.steps.setdefault(record.number, record.reports[-1].step if record.reports else 0)

    def advance(self, number: int, step: int, now: float) -> None:
        """Trial `number` has done `step` steps. After a retry it may have fewer: not counted backwards."""
        before = self.steps.get(number, 0)
        self.rate.add(max(0, step - before), now)
        self.steps[number] = step

    def count(self, state: State) -> int:
        return sum(record.state is state for record in self.records.values())

    def of(self, phase: str) -> list[TrialRecord]:
        return [record for record in self.records.values() if PHASE_OF[record.stage] == phase]

    def ended_in(self, phase: str) -> int:
        return sum(record.state in _ENDED for record in self.of(phase))

    def best(self) -> TrialRecord | None:
        """The smallest objective among trials of the search that got furthest; replicates apart."""
        return best_of(record for record in self.records.values() if record.replicate_of is None)

    def seconds_left(self, now: float) -> float | None:
        """Estimate for all phases whose totals are known; None before there is a speed."""
        speed = self.rate.per_second(now)
        if self.over or speed <= 0 or not self.totals:
            return None
        steps = 0.0
        for phase, total in self.totals.items():
            mine = self.of(phase)
            ended = [self.steps[record.number] for record in mine if record.state in _ENDED]
            # Stopped trials are shorter: the next ones are taken to be like those so far.
            expected = sum(ended) / len(ended) if ended and phase == "search" else self.total_steps
            running = [self.steps[record.number] for record in mine if record.state is State.RUNNING]
            steps += sum(max(0.0, expected - done) for done in running)
            steps += max(0, total - len(ended) - len(running)) * expected
        return steps / speed


def best_of(records: Iterable[TrialRecord]) -> TrialRecord | None:
    """The record with the smallest objective at the furthest step that any has reached.

    Values at different steps are not compared: the distance falls as training goes on.
    """
    measured = [record for record in records if record.reports and record.state is not State.DIVERGED]
    furthest = max((record.reports[-1].step for record in measured), default=0)
    at_end = [record for record in measured if record.reports[-1].step == furthest]
    return min(at_end, key=lambda record: record.reports[-1].objective, default=None)


# --- text -----------------------------------------------------------------------------------------


def seconds_text(seconds: float) -> str:
    """`41s`, `3m 05s`, `2h 07m`, `3d 04h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02}m"
    return f"{whole // 86400}d {whole % 86400 // 3600:02}h"


def value_text(value: float) -> str:
    """Four digits: seed noise is far above the fifth."""
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.3g}"


def rate_text(per_second: float) -> str:
    return f"{per_second:.0f} steps/s" if per_second >= 10 else f"{per_second:.2g} steps/s"


def title_of(record: TrialRecord) -> str:
    """`trial 7`, `trial 2 (ict)`, `trial 31 (trial 7, seed 5)`."""
    if record.replicate_of is not None:
        return f"trial {record.number} (trial {record.replicate_of} again, seed {record.seed})"
    return f"trial {record.number} ({record.preset})" if record.preset else f"trial {record.number}"


def ended_text(record: TrialRecord, objective: str, total_steps: int, is_best: bool) -> str:
    """One line on a trial that ended, without its schedule."""
    title = title_of(record)
    if record.state is State.FAILED:
        return f"{title} failed: {record.reason or 'unknown reason'}"
    if record.state is State.DIVERGED:
        return f"{title} diverged"
    step = record.reports[-1].step if record.reports else 0
    value = f"{objective} {value_text(record.objective)}" if record.objective is not None else "no value"
    where = f" at step {step} of {total_steps}" if record.state is State.STOPPED else ""
    best = ", best so far" if is_best else ""
    return f"{title} {_WORDS[record.state]}{where}: {value}{best}"


def counts_text(board: Board) -> str:
    """`2 running, 5 stopped, 4 done`; diverged and failed ones only if there are any."""
    always = (State.RUNNING, State.STOPPED, State.COMPLETE)
    counts = {state: board.count(state) for state in (*always, State.DIVERGED, State.FAILED)}
    return ", ".join(f"{n} {_WORDS[state]}" for state, n in counts.items() if n or state in always)


def phase_text(board: Board) -> str:
    """`search 7/20`, or just the name where there is nothing to count."""
    total = board.totals.get(board.phase)
    return f"{board.phase} {board.ended_in(board.phase)}/{total}" if total else board.phase


def time_text(board: Board, now: float) -> str:
    """`3m 05s, about 2m left`."""
    elapsed = seconds_text(now - board.start)
    left = board.seconds_left(now)
    if left is None or not math.isfinite(left):
        return elapsed
    # A rough estimate is shown roughly.
    rough = max(10, 10 * round(left / 10)) if left < 120 else 60 * round(left / 60)
    return f"{elapsed}, about {seconds_text(rough).removesuffix(' 00s')} left"


def summary_text(board: Board, now: float) -> str:
    """The whole board in one line."""
    parts = [phase_text(board), counts_text(board)]
    best = board.best()
    if best is not None and best.objective is not None:
        parts.append(f"best {board.objective} {value_text(best.objective)} ({title_of(best)})")
    parts += [rate_text(board.rate.per_second(now)), time_text(board, now)]
    return "; ".join(parts)


def best_lines(board: Board) -> list[str]:
    """The leader and its schedule."""
    best = board.best()
    if best is None or best.objective is None:
        return [f"best {board.objective}: none yet"]
    step = best.reports[-1].step
    where = "" if step >= board.total_steps else f" at step {step} of {board.total_steps}"
    return [
        f"best {board.objective} {value_text(best.objective)}{where}: {title_of(best)}, one seed",
        with_density(best.schedule),
    ]


def confirm_lines(board: Board) -> list[str]:
    """Of each trial being confirmed: mean over its fresh seeds so far. The best four."""
    groups: dict[int, list[float]] = {}
    for record in board.of("confirm"):
        values = groups.setdefault(record.number if record.replicate_of is None else record.replicate_of, [])
        if record.state in (State.COMPLETE, State.DIVERGED) and record.objective is not None:
            values.append(record.objective)
    rows = [(sum(values) / len(values), number, len(values)) for number, values in groups.items() if values]
    lines = []
    for mean, number, count in sorted(rows)[:4]:
        first = board.records.get(number)
        title = title_of(first) if first else f"trial {number}"
        seeds = "seed" if count == 1 else "seeds"
        lines.append(f"mean {board.objective} {value_text(mean)} over {count} fresh {seeds}: {title}")
    return lines


def running_text(board: Board) -> str:
    """`#12 1500/2000  #13 500/2000`, at most six."""
    running = [record.number for record in board.records.values() if record.state is State.RUNNING]
    shown = "  ".join(f"#{number} {board.steps[number]}/{board.total_steps}" for number in running[:6])
    return shown + (f"  and {len(running) - 6} more" if len(running) > 6 else "")


def view_of(board: Board, events: Iterable[str], now: float) -> Group:
    """The live view. Lines are cut to the terminal's width; only the best schedule is shown in full."""
    lines: list[Text] = [
        Text.assemble((board.name, "bold"), "  ", (phase_text(board), "cyan"), "  ", time_text(board, now)),
        Text(f"  {counts_text(board)}  {rate_text(board.rate.per_second(now))}"),
    ]
    leader, *schedule = best_lines(board)
    lines.append(Text(f"  {leader}", style="green" if schedule else ""))
    parts: list[Text | Padding] = [Padding(Text(line, overflow="fold"), (0, 0, 0, 7)) for line in schedule]
    if board.phase == "confirm":
        lines += [Text(f"  {line}") for line in confirm_lines(board)]
    running = running_text(board)
    if running:
        lines.append(Text(f"  {running}", style="dim"))
    lines += [Text(f"  {event}", style="dim") for event in events]
    for line in lines:
        line.no_wrap = True
        line.overflow = "ellipsis"
    return Group(*lines[:3], *parts, *lines[3:])


# --- the view -------------------------------------------------------------------------------------


class ProgressView:
    """Shows a search while it runs. Use as a context manager; every method may be called from any thread.

    On a terminal one view is redrawn in place, at most twice a second; elsewhere each event that
    matters is a line, and a summary breaks a silence of a minute. No control characters there.

    clock: seconds, monotonic.
    """

    def __init__(
        self,
        name: str,
        objective: str,
        total_steps: int,
        *,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._console = console or Console()
        self._clock = clock
        self._lock = threading.RLock()
        self._events: deque[str] = deque(maxlen=_EVENTS)
        self._live: Live | None = None
        self._last_line = clock()
        self.board = Board(name, objective, total_steps, now=clock())

    @property
    def is_live(self) -> bool:
        """Whether there is a terminal to redraw."""
        return self._console.is_terminal and not self._console.is_dumb_terminal

    def __enter__(self) -> Self:
        if self.is_live:
            self._live = Live(
                get_renderable=self.render,
                console=self._console,
                refresh_per_second=_REFRESH_PER_SECOND,
                vertical_overflow="crop",
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the view and leave its last state on the screen. A second call does nothing."""
        self.board.over = True
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def render(self) -> Group:
        """The live view as it is now."""
        with self._lock:
            return view_of(self.board, list(self._events), self._clock())

    def phase(self, name: str, total: int) -> None:
        """The search enters a phase; total: its number of trials, 0 where there is nothing to count."""
        with self._lock:
            self.board.enter(name, total)
            self._say(f"{name}: {total} trials" if total else name)

    def expect(self, totals: Mapping[str, int]) -> None:
        """How many trials the phases have, those to come included: for the time left."""
        with self._lock:
            self.board.totals |= totals

    def restored(self, records: Iterable[TrialRecord]) -> None:
        """Trials of an earlier run of this search."""
        with self._lock:
            for record in records:
                self.board.put(record)

    def trial_started(self, record: TrialRecord) -> None:
        with self._lock:
            if self.board.rate.is_idle:
                self.board.rate = Rate(self._clock())  # the time before the first trial is no training
            self.board.put(record)

    def trial_progress(self, number: int, step: int) -> None:
        """A sign of life: trial `number` has done `step` steps."""
        with self._lock:
            now = self._clock()
            self.board.advance(number, step, now)
            if self._live is None and now - self._last_line >= HEARTBEAT_SECONDS:
                self._say(summary_text(self.board, now))

    def trial_reported(self, record: TrialRecord) -> None:
        """A rung was measured."""
        with self._lock:
            self.board.put(record)
            if record.reports:
                self.board.advance(record.number, record.reports[-1].step, self._clock())

    def trial_ended(self, record: TrialRecord) -> None:
        with self._lock:
            self.trial_reported(record)
            best = self.board.best()
            is_best = best is not None and best.number == record.number
            text = ended_text(record, self.board.objective, self.board.total_steps, is_best)
            self._say(text, f": {record.schedule.describe()}")

    def note(self, text: str) -> None:
        """Something worth knowing, in one line."""
        with self._lock:
            self._say(" ".join(text.split()))

    def _say(self, text: str, detail: str = "") -> None:
        """An event. `detail` is for a line of its own width, not for the live view."""
        now = self._clock()
        self._last_line = now
        line = f"{seconds_text(now - self.board.start):>7}  {text}"
        self._events.append(line)
        if self._live is None:
            self._console.print(Text(line + detail), soft_wrap=True)
