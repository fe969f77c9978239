"""Silence has a limit: a part of a search of which nothing is heard is told, with what its log says last.

The limit is the same for all parts. Preparing, a start of Ray, of a worker or of MLflow take seconds, on a busy machine
half a minute, and a trial gives a sign of life every second while it trains; who looks at a screen on which nothing
happens begins to doubt after a minute. What takes longer for good reasons, such as a download or the first measuring of
a trial, is told once or twice, because the lines grow apart. A trial that was silent for longer and came back, as when
a large network is measured, has twice that time before the next line.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from search.machine.last_words import last_words
from search.screen.words import seconds_text

SILENCE_SECONDS = 60.0
_FARTHEST_SECONDS = 3600.0  # between two lines

_log = logging.getLogger(__name__)

Log = Callable[[], Path | None]


def no_log() -> Path | None:
    """Of a part that keeps none."""
    return None


@dataclass(frozen=True)
class Waiting:
    """whom: of whom nothing is heard. since: when it was, in seconds of the view's clock. log: where its log lies now.

    limit: seconds of silence that are nothing to speak of.
    """

    whom: str
    since: float
    log: Log = no_log
    limit: float = SILENCE_SECONDS


class Silence:
    """Which lines are due: after the limit, then each time the silence has doubled, at least every hour."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[float, float]] = {}  # key -> (since when it is silent, next line)

    def due(self, key: str, waiting: Waiting | None, now: float) -> str | None:
        """The line about this part, for the log too, if it is time for one. waiting: None where nobody waits for it."""
        if waiting is None:
            self._told.pop(key, None)
            return None
        since, following = self._told.get(key, (waiting.since, waiting.since + waiting.limit))
        if since != waiting.since:
            following = waiting.since + waiting.limit
        if now < following:
            self._told[key] = waiting.since, following
            return None
        silent = now - waiting.since
        self._told[key] = waiting.since, now + min(max(silent, waiting.limit), _FARTHEST_SECONDS)
        line = f"no sign of life for {seconds_text(silent)} from {waiting.whom}{words_of(waiting.log())}"
        _log.warning("%s", line)
        return line


def words_of(log: Path | None) -> str:
    """`; last in /tmp/.../raylet.err: "No such file"`, "" without a log."""
    if log is None:
        return ""
    if log.is_dir():
        return f"; its logs are in {log}"
    said = last_words(log, but=__name__)
    return f'; last in {log}: "{said}"' if said else f"; its log is {log}"
