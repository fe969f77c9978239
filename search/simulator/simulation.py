"""One whole search on a virtual clock: the conductor that Ray drives, with recorded curves for workers."""

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from search.policy.conductor import Conductor
from search.policy.plan import Plan
from search.record import Report, TrialRecord
from search.simulator.replay import Measured
from search.simulator.trials_in_memory import TrialsInMemory
from spaces import NoiseSchedule
from trainable.task import WORST_OBJECTIVE

# (schedule, training seed, steps) -> what a trial reports at these steps, as `Replay` has it.
Playback = Callable[[NoiseSchedule, int, Sequence[int]], Sequence[Measured]]


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """A finished search.

    records: its trials by number. compute: steps trained in all, in budgets of one trial. seconds: virtual, from
    its start to its end.
    """

    records: tuple[TrialRecord, ...]
    compute: float
    seconds: float


class _Result(NamedTuple):
    """What will be heard of a trial. In order of time; at the same time, of the trials' numbers."""

    seconds: float
    number: int
    step: int
    reports: list[Report]  # up to now
    outcome: str | None


def simulate(
    plan: Plan,
    replays: Mapping[str, Playback],
    on_change: Callable[[TrialRecord], None] = lambda record: None,
    on_result: Callable[[Conductor], None] = lambda conductor: None,
    signs_of_life: int = 0,
) -> Simulated:
    """Run the search of `plan` to its end, `plan.max_concurrent` trials at a time.

    replays: by setting, the search's own and those where the plan tries its finding. Trials take as long as they took
    when they were recorded, and the driver no time at all. on_change: called with the new record after every change of
    a trial, as in a real search. on_result: after each result, when what follows from it has begun. signs_of_life: how
    often a trial tells how far it is between two rungs; each is a result too.
    """
    now = 0.0
    conductor = Conductor(plan, TrialsInMemory(), on_change=on_change, clock=lambda: now)
    ahead: list[_Result] = []
    while True:
        while (record := conductor.next()) is not None:
            for result in _trial(record, replays[record.setting], plan.rungs_of(record), now, signs_of_life):
                heapq.heappush(ahead, result)
        if now:
            on_result(conductor)
        if not ahead:
            break
        now, number, step, reports, outcome = heapq.heappop(ahead)
        if conductor.observe(number, step, reports, outcome):
            ahead = [result for result in ahead if result.number != number]
            heapq.heapify(ahead)
    assert conductor.finished
    records = tuple(conductor.records[number] for number in sorted(conductor.records))
    steps = sum(record.reports[-1].step for record in records if record.reports)
    return Simulated(records=records, compute=steps / plan.total_steps, seconds=now)


def _trial(
    record: TrialRecord, replay: Playback, rungs: tuple[int, ...], now: float, signs_of_life: int
) -> Iterator[_Result]:
    """All that a trial started `now` will report, unless it is stopped."""
    reports: list[Report] = []
    before = Measured(0, 0.0, 0.0)
    for measured in replay(record.schedule, record.seed, rungs):
        step, value, seconds = measured
        for nth in range(1, signs_of_life + 1):
            share = nth / (signs_of_life + 1)
            at = now + before.seconds + share * (seconds - before.seconds)
            yield _Result(
                at, record.number, before.step + int(share * (step - before.step)), list(reports), None
            )
        before = measured
        metrics = {"train_seconds": seconds}
        reports.append(
            Report(step=step, objective=value, time_ms=round(1000 * (now + seconds)), metrics=metrics)
        )
        diverged = value >= WORST_OBJECTIVE
        outcome = "diverged" if diverged else "complete" if step == rungs[-1] else None
        yield _Result(now + seconds, record.number, step, list(reports), outcome)
