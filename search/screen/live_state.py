"""What is known of a search while it runs."""

from collections import deque
from collections.abc import Iterable

from search.record import Purpose, State, TrialRecord

RATE_SECONDS = 30.0  # steps/s are a mean over this time
PHASE_OF = {
    Purpose.BASELINE: "baselines",
    Purpose.NOISE: "noise floor",
    Purpose.SEARCH: "search",
    Purpose.REPLICATE: "search",
    Purpose.CONFIRM: "confirm",
    Purpose.HOLD: "other settings",
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


class LiveState:
    """What is known of the search now.

    name: of the search. objective: what is minimised. total_steps: a trial's full budget.
    totals: trials of each phase (`PHASE_OF`), as far as known.
    """

    def __init__(self, name: str, objective: str, total_steps: int, *, now: float):
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
        return [record for record in self.records.values() if PHASE_OF[record.purpose] == phase]

    def ended_in(self, phase: str) -> int:
        return sum(record.state is not State.RUNNING for record in self.of(phase))

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
            ended = [self.steps[record.number] for record in mine if record.state is not State.RUNNING]
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
