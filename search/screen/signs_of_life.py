"""When the trials that run were last heard of, and the driver that listens to them."""

from search.screen.silence import SILENCE_SECONDS, Log, Waiting, no_log

DRIVER = "the driver, which decides what comes next and has it written"


class SignsOfLife:
    """Of the trials that hold a slot. Times are seconds of the view's clock.

    log: where the workers' log lies. driver_log: where the driver's does.
    """

    def __init__(self, log: Log = no_log, driver_log: Log = no_log):
        self._log, self._driver_log = log, driver_log
        self._heard: dict[int, float] = {}
        self._steps: dict[int, int] = {}  # of those that were heard of since they were started
        self._longest = 0.0  # silence that a trial came back from
        self._any = False
        self._turned: float | None = None
        self._began = 0.0  # to listen

    def started(self, number: int, now: float) -> None:
        """The trial waits for its worker."""
        self._heard[number] = now

    def heard(self, number: int, step: int, now: float) -> None:
        """The trial has done `step` steps. The last sign of one that has ended is none."""
        if number not in self._heard:
            return
        if number in self._steps:
            self._longest = max(self._longest, now - self._heard[number])
        self._heard[number], self._steps[number], self._any = now, step, True

    def ended(self, number: int) -> None:
        """The trial has left its slot."""
        self._heard.pop(number, None)
        self._steps.pop(number, None)

    def turned(self, now: float | None) -> None:
        """The driver listens to trials; None: it does not any more."""
        if now is not None and self._turned is None:
            self._began = now
        self._turned = now
        if now is None:
            self._heard.clear()
            self._steps.clear()

    def driver(self) -> Waiting | None:
        """Of a driver that listens; what it waits for, its log says."""
        return None if self._turned is None else Waiting(DRIVER, self._turned, self._driver_log)

    def trials(self, now: float) -> Waiting | None:
        """Of the trials that are silent for too long the one that has been so longest; whoever listens must be well."""
        if self._turned is None or now - self._turned >= SILENCE_SECONDS:
            return None
        limit = max(SILENCE_SECONDS, 2 * self._longest)
        if not self._any:  # where workers hold stacks, no trial waits for them
            since = min(self._heard.values(), default=self._began)
            whom = "the workers, which are to start"
            return Waiting(whom, since, self._log, limit) if now - since >= limit else None
        silent = [number for number, heard in self._heard.items() if now - heard >= limit]
        if not silent:
            return None
        first = min(silent, key=lambda number: (self._heard[number], number))
        more = f" and {len(silent) - 1} more" if len(silent) > 1 else ""
        if first in self._steps:
            whom = f"trial {first} (at step {self._steps[first]}){more}"
        else:
            whom = f"trial {first}, which waits for a worker{more}"
        return Waiting(whom, self._heard[first], self._log, limit)
