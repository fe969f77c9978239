"""What is known of a search while it runs."""

from collections.abc import Iterable
from typing import NamedTuple

from search.record import Purpose, State, TrialRecord

PHASE_OF = {
    Purpose.BASELINE: "baselines",
    Purpose.NOISE: "noise floor",
    Purpose.SEARCH: "search",
    Purpose.REPLICATE: "search",
    Purpose.SHORTLIST: "shortlist",
    Purpose.CONFIRM: "confirm",
    Purpose.HOLD: "other settings",
}


class Foreseen(NamedTuple):
    """What was foretold at the time `at`. steps: done by all slots in the last `seconds`. left: seconds that the search
    still takes, at least and at most; None: not known."""

    at: float
    steps: int = 0
    seconds: float = 0.0
    left: tuple[float, float] | None = None


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
        self.foreseen = Foreseen(now)

    def enter(self, phase: str, total: int) -> None:
        self.phase = phase
        if total > 0:
            self.totals[phase] = total

    def put(self, record: TrialRecord) -> None:
        """The record as it is now."""
        self.records[record.number] = record
        self.steps.setdefault(record.number, record.reports[-1].step if record.reports else 0)

    def advance(self, number: int, step: int) -> None:
        """Trial `number` has done `step` steps; after a retry they may be fewer."""
        self.steps[number] = step

    def per_second(self, now: float) -> float:
        """Steps a second; what has passed since that was counted counts as without any."""
        foreseen = self.foreseen
        seconds = foreseen.seconds + now - foreseen.at
        return foreseen.steps / seconds if foreseen.steps and seconds > 0 else 0.0

    def count(self, state: State) -> int:
        return sum(record.state is state for record in self.records.values())

    def of(self, phase: str) -> list[TrialRecord]:
        return [record for record in self.records.values() if PHASE_OF[record.purpose] == phase]

    def ended_in(self, phase: str) -> int:
        return sum(record.state is not State.RUNNING for record in self.of(phase))

    def best(self) -> TrialRecord | None:
        """The smallest objective among trials of the search that got furthest; replicates apart."""
        return best_of(record for record in self.records.values() if record.replicate_of is None)

    def seconds_left(self) -> tuple[float, float] | None:
        """At least and at most; None where it is not known."""
        return None if self.over else self.foreseen.left


def best_of(records: Iterable[TrialRecord]) -> TrialRecord | None:
    """The record with the smallest objective at the furthest step that any has reached.

    Values at different steps are not compared: the distance falls as training goes on.
    """
    measured = [record for record in records if record.reports and record.state is not State.DIVERGED]
    furthest = max((record.reports[-1].step for record in measured), default=0)
    at_end = [record for record in measured if record.reports[-1].step == furthest]
    return min(at_end, key=lambda record: record.reports[-1].objective, default=None)
