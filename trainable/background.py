"""One piece of work at a time, behind the caller's back."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

_log = logging.getLogger(__name__)


class Background:
    """A thread that does what it is given; at most one thing is on its way."""

    def __init__(self, name: str):
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._work: Future[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether something is on its way."""
        return self._work is not None and not self._work.done()

    def start(self, work: Callable[[], None]) -> None:
        """Begin `work` when what is on its way is done; raises what that raised."""
        self.join()
        self._work = self._threads.submit(work)

    def join(self) -> None:
        """Wait until nothing is on its way; raises what it raised, once."""
        work, self._work = self._work, None
        if work is not None:
            work.result()

    def forget(self) -> None:
        """Wait likewise, where the outcome does not matter any more."""
        try:
            self.join()
        except Exception as error:
            _log.warning("work in the background: %s", error)
