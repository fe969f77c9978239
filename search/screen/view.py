"""What is shown while a search runs: one calm view on a terminal, plain lines elsewhere.

`LiveState` holds what is known and is told by plain calls, `live_text` turns it into text, and only `ProgressView`
knows of terminals. Time is seconds from a clock that is passed in.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.text import Text

from search.record import TrialRecord
from search.screen.live_state import Foreseen, LiveState
from search.screen.live_text import (
    best_lines,
    confirm_lines,
    counts_text,
    ended_text,
    phase_text,
    running_text,
    summary_text,
    time_text,
)
from search.screen.signs_of_life import SignsOfLife
from search.screen.silence import Log, Silence, Waiting, no_log
from search.screen.words import rate_text, seconds_text

STUDY = "study"  # name of the part that the driver's own work waits for
HEARTBEAT_SECONDS = 60.0  # without a terminal, silence is broken this often
_EVENTS = 6
_TICK_SECONDS = 0.5  # between two drawings, and between two looks at who is silent


def view_of(live: LiveState, events: Iterable[str], now: float) -> Group:
    """The live view. Lines are cut to the terminal's width; only the best schedule is shown in full."""
    lines: list[Text] = [
        Text.assemble((live.name, "bold"), "  ", (phase_text(live), "cyan"), "  ", time_text(live, now)),
        Text(f"  {counts_text(live)}  {rate_text(live.per_second(now))}"),
    ]
    leader, *schedule = best_lines(live)
    lines.append(Text(f"  {leader}", style="green" if schedule else ""))
    parts: list[Text | Padding] = [Padding(Text(line, overflow="fold"), (0, 0, 0, 7)) for line in schedule]
    if live.phase == "confirm":
        lines += [Text(f"  {line}") for line in confirm_lines(live)]
    running = running_text(live)
    if running:
        lines.append(Text(f"  {running}", style="dim"))
    lines += [Text(f"  {event}", style="dim") for event in events]
    for line in lines:
        line.no_wrap = True
        line.overflow = "ellipsis"
    return Group(*lines[:3], *parts, *lines[3:])


class ProgressView:
    """Shows a search while it runs. Use as a context manager; every method may be called from any thread.

    On a terminal one view is redrawn in place, at most twice a second; elsewhere each event that
    matters is a line, and a summary breaks a silence of a minute. No control characters there. A part of the search
    that is silent for too long is told on both, and in the log.

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
        self.events: deque[str] = deque(maxlen=_EVENTS)
        self._display: Live | None = None
        self._last_line = clock()
        self._silence = Silence()
        self._waiting: Waiting | None = None
        self._watched: dict[str, Callable[[], Waiting | None]] = {}
        self._signs = SignsOfLife()
        self._over = threading.Event()
        self._ticker = threading.Thread(target=self._tick_on, name="progress", daemon=True)
        self.state = LiveState(name, objective, total_steps, now=clock())

    @property
    def is_live(self) -> bool:
        """Whether there is a terminal to redraw."""
        return self._console.is_terminal and not self._console.is_dumb_terminal

    def __enter__(self) -> Self:
        if self.is_live:
            self._display = Live(
                get_renderable=self.render,
                console=self._console,
                auto_refresh=False,
                vertical_overflow="crop",
            )
            self._display.start()
        self._ticker.start()
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
        self.state.over = True
        self._over.set()
        if self._ticker.is_alive():
            self._ticker.join()
        display, self._display = self._display, None
        if display is not None:
            display.stop()

    def _tick_on(self) -> None:
        while not self._over.wait(_TICK_SECONDS):
            with suppress(OSError):  # a closed terminal: the search goes on
                self.tick()

    def tick(self) -> None:
        """Tell who is silent, and draw the view anew."""
        with self._lock:
            now = self._clock()
            parts = {name: part() for name, part in self._watched.items()}
            parts |= {"": self._waiting, "trials": self._signs.trials(now)}
            # A driver that waits for the study is not silent of its own.
            parts["driver"] = self._signs.driver() if parts.get(STUDY) is None else None
            for name, waiting in parts.items():
                line = self._silence.due(name, waiting, now)
                if line is not None:
                    self._say(line)
            display = self._display
        if display is not None:
            display.refresh()

    @contextmanager
    def waiting(self, whom: str, log: Log = no_log) -> Iterator[None]:
        """In this block the search waits for `whom`, of whom nothing is heard. log: where its log lies."""
        self._waiting = Waiting(whom, self._clock(), log)
        try:
            yield
        finally:
            self._waiting = None

    def watch(self, name: str, part: Callable[[], Waiting | None]) -> None:
        """Ask `part`, which must answer at once, whom the search waits for besides; None: for nobody."""
        with self._lock:
            self._watched[name] = part

    @contextmanager
    def listening(self, log: Log = no_log, driver_log: Log = no_log) -> Iterator[None]:
        """In this block the driver takes in what trials report, and says so by `turn`. log: where the workers' lies."""
        with self._lock:
            self._signs = SignsOfLife(log, driver_log)
        self.turn()
        try:
            yield
        finally:
            with self._lock:
                self._signs.turned(None)

    def turn(self) -> None:
        """The driver listens."""
        self._signs.turned(self._clock())

    def render(self) -> Group:
        """The live view as it is now."""
        with self._lock:
            return view_of(self.state, list(self.events), self._clock())

    def phase(self, name: str, total: int) -> None:
        """The search enters a phase; total: its number of trials, 0 where there is nothing to count."""
        with self._lock:
            self.state.enter(name, total)
            self._say(f"{name}: {total} trials" if total else name)

    def expect(self, totals: Mapping[str, int]) -> None:
        """How many trials the phases have, those to come included."""
        with self._lock:
            self.state.totals |= totals

    def foresee(self, steps: int, seconds: float, left: tuple[float, float] | None) -> None:
        """How fast the search is, and how long it still takes; see `Foreseen`."""
        with self._lock:
            self.state.foreseen = Foreseen(self._clock(), steps, seconds, left)

    def restored(self, records: Iterable[TrialRecord]) -> None:
        """Trials of an earlier run of this search."""
        with self._lock:
            for record in records:
                self.state.put(record)

    def trial_started(self, record: TrialRecord) -> None:
        with self._lock:
            self._signs.started(record.number, self._clock())
            self.state.put(record)

    def trial_progress(self, number: int, step: int) -> None:
        """A sign of life: trial `number` has done `step` steps."""
        with self._lock:
            now = self._clock()
            self._signs.heard(number, step, now)
            self.state.advance(number, step)
            if self._display is None and now - self._last_line >= HEARTBEAT_SECONDS:
                self._say(summary_text(self.state, now))

    def trial_reported(self, record: TrialRecord) -> None:
        """A rung was measured."""
        with self._lock:
            self.state.put(record)
            if record.reports:
                self.state.advance(record.number, record.reports[-1].step)

    def trial_ended(self, record: TrialRecord) -> None:
        with self._lock:
            self.trial_reported(record)
            self._signs.ended(record.number)
            best = self.state.best()
            is_best = best is not None and best.number == record.number
            text = ended_text(record, self.state.objective, self.state.total_steps, is_best)
            self._say(text, f": {record.schedule.describe()}")

    def note(self, text: str) -> None:
        """Something worth knowing, in one line."""
        with self._lock:
            self._say(" ".join(text.split()))

    def _say(self, text: str, detail: str = "") -> None:
        """An event. `detail` is for a line of its own width, not for the live view."""
        now = self._clock()
        self._last_line = now
        line = f"{seconds_text(now - self.state.start):>7}  {text}"
        self.events.append(line)
        if self._display is None:
            with suppress(
                OSError
            ):  # a reader that has gone (`| head`), a closed terminal: the search goes on
                self._console.print(Text(line + detail), soft_wrap=True)
