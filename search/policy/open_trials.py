"""The trials that are open: who runs, how far each is, who waits to be gone on with."""

from collections import Counter
from collections.abc import Collection, Mapping

from search.policy.plan import Plan
from search.record import Purpose, TrialRecord


class OpenTrials:
    """left: numbers of the trials that a former driver left; each is gone on with before anything new is started."""

    def __init__(self, plan: Plan, left: Collection[int]):
        self._plan = plan
        self._waiting = sorted(left)
        self._undecided = set(left)  # the former driver may have died between a report and its decision
        self._steps: dict[int, int] = {}  # as last heard
        self._running: dict[int, TrialRecord] = {}
        self._losses: Counter[int] = Counter()  # workers that were lost, by trial

    def __len__(self) -> int:
        """How many run."""
        return len(self._running)

    def by_setting(self) -> Mapping[str, int]:
        """How many run in each setting."""
        return Counter(record.setting for record in self._running.values())

    def next_waiting(self) -> int | None:
        """The next trial to be gone on with."""
        return self._waiting.pop(0) if self._waiting else None

    def begin(self, record: TrialRecord, *, is_new: bool) -> None:
        """The trial runs. What one that is gone on with had done before was paid for by the former driver."""
        self._running[record.number] = record
        if is_new:
            self._steps[record.number] = 0

    def end(self, number: int) -> None:
        """The trial does not run any more."""
        self._running.pop(number, None)
        self._steps.pop(number, None)

    def wait(self, number: int) -> None:
        """The trial is to be gone on with."""
        self.end(number)
        self._waiting.append(number)

    def wait_all(self) -> None:
        """All trials that run are to be gone on with."""
        for number in sorted(self._running):
            self.wait(number)

    def count_loss(self, number: int) -> int:
        """One more worker of the trial was lost; how many were."""
        self._losses[number] += 1
        return self._losses[number]

    def advance(self, number: int, step: int) -> int:
        """The trial has done `step` steps; how many more than before."""
        before = self._steps.get(number)
        self._steps[number] = max(step, before or 0)
        return max(0, step - before) if before is not None else 0

    def take_undecided(self, number: int) -> bool:
        """Whether what the trial reported last may be without a decision; asked once."""
        was = number in self._undecided
        self._undecided.discard(number)
        return was

    @property
    def steps(self) -> Mapping[int, int]:
        """Of those that run, the steps that each has done."""
        return {number: self._steps.get(number, 0) for number in self._running}

    def steps_to_come(self, *, but: int | None = None) -> int:
        """Steps that they are still allowed: up to the next rung; replicates and baselines to the end."""
        return sum(self._to_come(record) for number, record in self._running.items() if number != but)

    def _to_come(self, record: TrialRecord) -> int:
        done = self._steps.get(record.number, 0)
        if record.purpose is not Purpose.SEARCH:
            return self._plan.total_steps_in(record.setting) - done
        return (self._plan.next_rung(done) or done) - done
