"""What a server of the head is, and how its supervisor judges it: no process, no clock and no network in here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

MLFLOW_PORT, DASHBOARD_PORT = 5000, 8080
START_SECONDS = 180.0  # MLflow answers after 8 s on a quiet machine, 25 s and more on a busy one
PROBE_SECONDS = 2.0  # from one probe to the next, if that takes no longer
PROBE_TIMEOUT_SECONDS = 3.0
MISSED_PROBES = 3  # a server that leaves so many unanswered hangs: some 10 s
_SETTLED_SECONDS = 60.0
_LONGEST_WAIT_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class HeadSettings:
    """What the servers are made from. folder: the state folder. artifacts: folder or bucket, as a URI."""

    folder: Path
    study_url: str = field(repr=False)
    mlflow_url: str = field(repr=False)
    auth_url: str = field(repr=False)
    artifacts: str
    username: str
    password: str = field(repr=False)
    mlflow_port: int
    dashboard_port: int


@dataclass(frozen=True, kw_only=True)
class Server:
    """One server of the head. health_url: answers 200 while the server is well. No secret is in `command`."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    url: str
    health_url: str


class Action(StrEnum):
    """What the supervisor is to do with a server now."""

    START = "start"
    END = "end"  # it hangs
    NOTHING = "nothing"


class Health:
    """Judges one server from what was seen of it; times are seconds of one steady clock.

    A server that ends, or is ended because it hangs, is started again: at once where it had settled (60 s of answers),
    then after 1, 2, 4, ... at most 60 s.
    """

    def __init__(self) -> None:
        self.restarts = 0
        self.wait = 0.0  # seconds from the last end to the next start
        self._start_at = 0.0
        self._started: float | None = None
        self._answered: float | None = None  # the first answer of this life
        self._missed = 0
        self._failures = 0

    @property
    def healthy(self) -> bool:
        """Whether the server answers."""
        return self._answered is not None and self._missed < MISSED_PROBES

    def started(self, now: float) -> None:
        """The server was started at `now`."""
        self._started, self._answered, self._missed = now, None, 0

    def probed(self, now: float, answered: bool) -> None:
        """The server did or did not answer a probe."""
        self._missed = 0 if answered else self._missed + 1
        if answered and self._answered is None:
            self._answered = now

    def ended(self, now: float) -> None:
        """The server has gone, by itself or by us."""
        settled = self._answered is not None and now - self._answered >= _SETTLED_SECONDS
        self._failures = 1 if settled else self._failures + 1
        self.wait = 0.0 if self._failures == 1 else min(2.0 ** (self._failures - 2), _LONGEST_WAIT_SECONDS)
        self._start_at = now + self.wait
        self.restarts += 1
        self._started = self._answered = None

    def next(self, now: float) -> Action:
        """What is to be done now."""
        if self._started is None:
            return Action.START if now >= self._start_at else Action.NOTHING
        if self._answered is None:
            return Action.END if now - self._started > START_SECONDS else Action.NOTHING
        return Action.NOTHING if self.healthy else Action.END
