"""How many steps a proposal is expected to be trained: the stopping rule played on random values, then what it does."""

import itertools
import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from search.policy.plan import Plan
from search.record import Purpose, State, TrialRecord
from search.stopping_rule import Rung, StoppingRule

_RECENT = 200  # trials that are looked at, the latest: an algorithm proposes better ones as it learns
_PRIOR_TRIALS = 4.0  # what the play counts for, in trials
# Of the play: trials, spread of ln(objective) between schedules and between seeds.
_PLAYED, _SPREAD, _NOISE = 40, 0.3, 0.1


@dataclass(frozen=True)
class Steps:
    """A number of steps that is not known yet."""

    mean: float
    variance: float = 0.0


class Survival:
    """How far proposals come. It learns from the trials of a search."""

    def __init__(self, plan: Plan):
        self._rungs = plan.rungs
        played = _played(plan.stopping, plan.rungs, min(_PLAYED, plan.max_trials or _PLAYED))
        self._prior = tuple(
            (1 - plan.audit_share) * share + plan.audit_share for share in played
        )  # an audit runs on
        self._shares, self._seen = self._prior, 0

    def learn(self, latest: Iterable[TrialRecord]) -> None:
        """From the proposals among the trials. latest: of all trials, the latest first."""
        recent = itertools.islice(latest, _RECENT)
        proposals = [r for r in recent if r.purpose is Purpose.SEARCH and r.state is not State.FAILED]
        judged = [(_reached(record), _passed(record)) for record in proposals]
        self._seen = sum(record.state is not State.RUNNING for record in proposals)
        self._shares = tuple(
            (_PRIOR_TRIALS * prior + sum(passed >= step for _, passed in judged))
            / (_PRIOR_TRIALS + sum(reached >= step for reached, _ in judged))
            for step, prior in zip(self._rungs[:-1], self._prior, strict=True)
        )

    def from_step(self, step: int) -> Steps:
        """What a proposal that is at `step`, and was not stopped there, still trains."""
        ahead = [rung for rung in self._rungs if rung > step]
        alive, ends = 1.0, []
        for rung in ahead:
            share = 0.0 if rung == self._rungs[-1] else self._shares[self._rungs.index(rung)]
            ends.append((alive * (1 - share), rung - step))
            alive *= share
        mean = sum(chance * steps for chance, steps in ends)
        return Steps(mean, sum(chance * (steps - mean) ** 2 for chance, steps in ends))

    def chance_from(self, step: int) -> float:
        """That a proposal which is at `step`, and was not stopped there, runs to its end."""
        return math.prod(
            share for rung, share in zip(self._rungs[:-1], self._shares, strict=True) if rung > step
        )

    def of_new(self, count: int) -> Steps:
        """What so many proposals train together. The variance counts that the shares are known from few trials."""
        one = self.from_step(0)
        shared = count**2 / (_PRIOR_TRIALS + self._seen)
        return Steps(count * one.mean, (count + shared) * one.variance)


def _reached(record: TrialRecord) -> int:
    """The last step at which the trial was measured."""
    return record.reports[-1].step if record.reports else 0


def _passed(record: TrialRecord) -> int:
    """The last step at which it was measured and went on. One that runs may be measured and not yet judged."""
    if record.state in (State.RUNNING, State.COMPLETE):
        return _reached(record)
    return record.reports[-2].step if len(record.reports) > 1 else 0


def _played(rule: StoppingRule, rungs: Sequence[int], count: int) -> tuple[float, ...]:
    """Of the trials that come to each rung but the last, the share that goes on."""
    rng = random.Random(0)
    at_rung: dict[int, dict[int, float]] = {step: {} for step in rungs}
    passed = dict.fromkeys(rungs, 0)
    for number in range(count):
        schedule = rng.gauss(0, _SPREAD)
        for step in rungs[:-1]:
            level = schedule + rng.gauss(0, _NOISE) - math.log(step / rungs[-1]) / 2
            at_rung[step][number] = math.exp(level)
            earlier = {rung: at_rung[rung] for rung in rungs if rung < step}
            if rule.stops(number, Rung(step, at_rung[step], earlier, _NOISE)):
                break
            passed[step] += 1
    return tuple(passed[step] / max(1, len(at_rung[step])) for step in rungs[:-1])


def total(parts: Iterable[Steps]) -> Steps:
    """Of independent numbers of steps."""
    parts = list(parts)
    return Steps(sum(part.mean for part in parts), sum(part.variance for part in parts))
