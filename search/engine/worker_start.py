"""Workers that never start: on this machine nothing makes that better, so the search ends and says why."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from search.errors import OperationFailed
from search.machine.last_words import last_words

# A worker takes seconds to start. On a machine under load, with its packages on a slow network file system, it takes
# minutes; ten are enough for all.
START_SECONDS = 600.0
_LINES = 40  # of a log of Ray's, which goes with the search, that are kept in ours

_log = logging.getLogger(__name__)


class WorkerStart:
    """Whether any worker has answered since the first trial was given out.

    limit: seconds after which none will; None: machines may still come, as on a cluster that starts them on demand.
    """

    def __init__(
        self,
        limit: float | None,
        log: Callable[[], Path | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._limit, self._log, self._clock = limit, log, clock
        self._since: float | None = None
        self._is_over = limit is None

    def begin(self) -> None:
        """A trial was given out."""
        if self._since is None:
            self._since = self._clock()

    def heard(self) -> None:
        """A worker has answered."""
        self._is_over = True

    def check(self) -> None:
        """OperationFailed if none has for too long."""
        if self._is_over or self._since is None or self._limit is None:
            return
        waited = self._clock() - self._since
        if waited < self._limit:
            return
        path = self._log()
        said = "nothing" if path is None else last_words(path)
        if path is not None and path.is_file():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-_LINES:]
            _log.error("the end of %s:\n%s", path, "\n".join(lines))
        raise OperationFailed(
            f"no worker has started in {waited / 60:.0f} minutes; of it Ray says: {said or 'nothing'} (more in the "
            "search's log). Run: python -m search doctor. When it finds nothing wrong, the same command goes on"
        )
