"""Keeps the page of a running search up to date, in a process of its own: the driver only starts it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from search.machine.checkout import ROOT
from search.running.known import PAGE_FILE

_EVERY_SECONDS = 60.0
_SECONDS_PER_TRIAL = 0.05  # a page of more trials takes longer, and is made less often
_NICE = 19  # the driver and the trials come first

Start = Callable[[Sequence[str], Path], subprocess.Popen[bytes]]


def start_quietly(command: Sequence[str], log_file: Path) -> subprocess.Popen[bytes]:
    """Start it with what it has to say in the log, out of reach of the terminal's Ctrl-C."""
    with log_file.open("ab") as log:
        return subprocess.Popen(
            ["nice", "-n", str(_NICE), *command],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


class LivePage:
    """Told of every change of a trial, it has the page made when that is due. It never waits and never raises.

    file: of the search; the page is that of `python -m search report FILE`.
    """

    def __init__(
        self,
        file: Path,
        log_file: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        start: Start = start_quietly,
    ):
        self._command = [sys.executable, "-m", "search", "report", str(file)]
        self._page, self._log_file = file.parent / PAGE_FILE, log_file
        self._clock, self._start = clock, start
        self._due = clock() + _EVERY_SECONDS
        self._process: subprocess.Popen[bytes] | None = None

    def changed(self, num_trials: int) -> None:
        """The search has gone on; it has so many trials."""
        if self._clock() < self._due or self._is_busy:
            return
        self._due = self._clock() + _EVERY_SECONDS + _SECONDS_PER_TRIAL * num_trials
        try:
            self._process = self._start(self._command, self._log_file)
        except OSError:  # no process can be started: the end makes the page
            self._process = None

    @property
    def _is_busy(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """Nothing writes the page any more when this returns."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for part in self._page.parent.glob(f".{self._page.name}.{self._process.pid}.*"):
            part.unlink(missing_ok=True)  # what it was writing
        self._process = None
