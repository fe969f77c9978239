"""Live tracking on a thread of its own: what the search hands over costs it one lock and no wait."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.record import TrialRecord
from search.tracking.process import ProjectionProcess, TrackingError
from search.tracking.projection import ParentInfo, Projection

_log = logging.getLogger(__name__)
_log.addHandler(logging.NullHandler())  # never the screen, see search.tracking.client.connect

_FIRST_WAIT, _LONGEST_WAIT, _CLOSING_WAIT = 0.5, 30.0, 1.0  # seconds between attempts
_PATIENCE = 3  # attempts at a record that MLflow itself refuses

# The keys of what waits, beside the trial numbers. Order of work: parent, trials as they came, leaderboard
# (it marks the runs of trials, which must be there). The log shows them.
_PARENT, _LEADERBOARD = "the search's own run", "the leaderboard"


@dataclass(frozen=True)
class Leftover:
    """What `Tracker.close` could not bring to MLflow. parent: whether the search's own run is behind."""

    trials: tuple[int, ...] = ()
    parent: bool = False
    error: str | None = None  # one line, the last trouble

    def __bool__(self) -> bool:
        return bool(self.trials) or self.parent

    def message(self, remedy: str) -> str:
        """One line for the user: what waits, and the command that brings it in."""
        waiting = "1 trial waits" if len(self.trials) == 1 else f"{len(self.trials)} trials wait"
        what = waiting if self.trials else "the search's own run is behind"
        why = self.error or "it was too slow for the time that is left at the end"
        return f"MLflow is not up to date ({why}): {what}; run `{remedy}`"


@dataclass
class _Job:
    """Newest content for one key, with the number of times that MLflow refused it."""

    sync: Callable[[], object]
    refused: int = 0


class Tracker:
    """Hands records to a projection on a daemon thread.

    put, put_parent and put_leaderboard never block and never raise. Of each trial the newest record
    waits, so an outage of any length keeps one record per trial; after an outage all of them follow. A
    record holds all reports so far, so nothing between two of them is lost.

    linger: seconds that the thread lets records gather before it writes, so that a burst of reports of one
    trial is one write.
    """

    def __init__(
        self,
        projection: Projection | ProjectionProcess,
        *,
        linger: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._projection = projection
        self._linger = linger
        self._clock = clock
        self._condition = threading.Condition()
        self._waiting: dict[int | str, _Job] = {}  # in order of arrival
        self._given_up: set[int | str] = set()
        self._current: int | str | None = None
        self._parent_failed = False  # at its last attempt
        self._left_in_round = 0  # jobs until the thread lets records gather again
        self._closing = False
        self._abandoned = False
        self._error: str | None = None
        self._silent_since: float | None = None
        self._thread = threading.Thread(target=self._work, name="mlflow-tracker", daemon=True)
        self._thread.start()

    def put(self, record: TrialRecord) -> None:
        """Show this state of the trial in MLflow, soon."""
        self._put(record.number, lambda: self._projection.sync(record))

    def put_parent(self, info: ParentInfo) -> None:
        """Bring the search's own run to this state, soon."""
        self._put(_PARENT, lambda: self._projection.sync_parent(info))

    def put_leaderboard(self, rows: Sequence[Mapping[str, Any]], conclusion: str = "") -> None:
        """Store the leaderboard with the conclusion at the search's own run, after all trials that wait."""
        copied = [dict(row) for row in rows]
        self._put(_LEADERBOARD, lambda: self._projection.sync_leaderboard(copied, conclusion))

    def put_sampling(self, record: TrialRecord, measured: Mapping[str, Any]) -> None:
        """Show the sampling levels found on the trial's model, soon."""
        self._put(
            f"the sampling levels of trial {record.number}",
            lambda: self._projection.sync_sampling(record, measured),
        )

    def put_model(self, record: TrialRecord, make: Callable[[], Any]) -> None:
        """Log the trained network of the trial, soon; see `Projection.sync_model`."""
        self._put(f"the model of trial {record.number}", lambda: self._projection.sync_model(record, make))

    def _put(self, key: int | str, sync: Callable[[], object]) -> None:
        with self._condition:
            if self._closing:
                _log.warning("MLflow does not get %s: its tracking has ended", _name(key))
                self._given_up.add(key)
                return
            self._given_up.discard(key)
            self._waiting[key] = _Job(sync)
            if self._silent_since is None:
                self._silent_since = self._clock()
            self._condition.notify()

    @property
    def num_waiting(self) -> int:
        """How many trials (and parent updates) are not in MLflow yet."""
        with self._condition:
            return len(self._unsynced())

    @property
    def error(self) -> str | None:
        """The trouble of the last attempt in one line, None while MLflow answers."""
        return self._error

    @property
    def silent_since(self) -> float | None:
        """When MLflow last took something, or was first asked to, by the tracker's clock; None: nothing waits."""
        return self._silent_since

    def close(self, timeout: float) -> Leftover:
        """Write what waits, for at most `timeout` seconds, and end. A second call returns the same."""
        deadline = self._clock() + timeout
        with self._condition:
            self._closing = True
            self._condition.notify()
        self._thread.join(max(0.0, deadline - self._clock()))
        with self._condition:
            self._abandoned = True
            self._condition.notify()
            left = self._unsynced()
            trials = tuple(sorted(key for key in left if isinstance(key, int)))
            return Leftover(trials, any(isinstance(key, str) for key in left), self._error if left else None)

    def _unsynced(self) -> set[int | str]:
        current = {self._current} if self._current is not None else set()
        return set(self._waiting) | self._given_up | current

    def _take(self) -> tuple[int | str, _Job] | None:
        """The next job, None when there is nothing left to do for ever."""
        with self._condition:
            if self._left_in_round == 0:
                self._condition.wait_for(lambda: self._waiting or self._closing)
                self._condition.wait_for(lambda: self._closing, timeout=self._linger)
                self._left_in_round = len(self._waiting)
            if not self._waiting or self._abandoned:
                return None
            self._left_in_round -= 1
            is_first = _PARENT in self._waiting and not self._parent_failed  # else it waits for its turn
            key = _PARENT if is_first else next(iter(self._waiting))
            if key == _LEADERBOARD and len(self._waiting) > 1:
                key = next(key for key in self._waiting if key != _LEADERBOARD)
            self._current = key
            return key, self._waiting.pop(key)

    def _work(self) -> None:
        wait = 0.0
        while (taken := self._take()) is not None:
            key, job = taken
            try:
                job.sync()
            except Exception as error:
                if not self._failed(key, job, error):
                    wait = min(max(2 * wait, _FIRST_WAIT), _LONGEST_WAIT)
                    self._pause(wait)
            else:
                wait = 0.0
                with self._condition:
                    self._parent_failed = self._parent_failed and key != _PARENT
                    self._current = None
                    self._error = None
                    self._silent_since = self._clock() if self._waiting else None

    def _failed(self, key: int | str, job: _Job, error: Exception) -> bool:
        """Put the job back, or give it up; whether MLflow answered, so that waiting is of no use."""
        text = str(error) if isinstance(error, TrackingError) else f"{type(error).__name__}: {error}"
        self._error = " ".join(text.split())[:500]
        refusal = self._projection.is_refusal(error)
        with contextlib.suppress(TrackingError):
            self._projection.reload()  # what was written before the failure is looked up again
        job.refused += refusal
        with self._condition:
            self._parent_failed = self._parent_failed or key == _PARENT
            self._current = None
            if job.refused >= _PATIENCE:
                # Trying again would not help, and the others must not wait for it.
                self._given_up.add(key)
                if not self._waiting:
                    self._silent_since = None
                _log.error("MLflow refuses %s, `reconcile` tries again: %s", _name(key), self._error)
            else:
                self._waiting.setdefault(key, job)  # a newer record, if one came meanwhile, stays
                _log.warning(
                    "MLflow did not take %s (%d wait in all): %s", _name(key), len(self._waiting), self._error
                )
        return refusal

    def _pause(self, wait: float) -> None:
        with self._condition:
            # Ends early when the tracker is closed; while closing, short waits use up the time given.
            if not self._closing:
                self._condition.wait_for(lambda: self._closing, timeout=wait)
            elif not self._abandoned:
                self._condition.wait_for(lambda: self._abandoned, timeout=min(wait, _CLOSING_WAIT))


def _name(key: int | str) -> str:
    """What waits, in the words of the log."""
    return f"trial {key}" if isinstance(key, int) else key
