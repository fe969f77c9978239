"""Whether early stopping stops the wrong trials: a few condemned ones run on to the end and tell.

Without them the errors of a stopping rule never show: how its stopped trials would have ended is not known.
"""

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from search.evidence import quantiles
from search.evidence.rank_correlation import CONFIDENCE, rank_correlation
from search.record import Purpose, State, TrialRecord

# A search of this many trials gets one audit at least: of one of its first condemned trials, which are this share of
# all trials.
_ALWAYS_FROM_TRIALS, _AMONG_FIRST = 20, 1 / 8
# A rung whose rank correlation with the end is below this cuts nearly at random.
_WEAK_CORRELATION = 0.5


def runs_on(
    *, share: float, seed: int, number: int, num_condemned: int, num_audited: int, num_trials: int
) -> bool:
    """Whether condemned trial `number` is one of the share that runs on.

    num_condemned, num_audited: before it. num_trials: of the whole search; where that is not known, so far. The answer
    follows from the seed and the counts, not from any value: else the audited trials would be no fair sample.
    """
    if share <= 0:
        return False
    if random.Random(f"{seed}/audit/{number}").random() < share:
        return True
    if num_trials < _ALWAYS_FROM_TRIALS or num_audited > 0:
        return False
    return num_condemned >= random.Random(f"{seed}/audit").randrange(int(num_trials * _AMONG_FIRST))


def was_condemned(record: TrialRecord) -> bool:
    """Whether the stopping rule ended the trial. A trial that the budget ended has a reason."""
    return record.state is State.STOPPED and record.reason is None


@dataclass(frozen=True)
class RungQuality:
    """Rank correlation of the values at a rung with those at the end, over trials that have both.

    Only trials that the rule let pass, or that an audit let run on, have both: a biased sample, in which
    the correlation is smaller than among all trials. low, high: `rank_interval`; None for fewer than four trials.
    """

    step: int
    num_trials: int
    correlation: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class AuditReport:
    """What the audited trials say.

    num_false: audited trials that would have been finalists of the search; where nothing is confirmed, its best trial.
    low, high: 95 % Clopper-Pearson interval of the false-stop rate. rungs: lowest first.
    """

    num_condemned: int
    num_audited: int
    num_false: int
    low: float
    high: float
    rungs: tuple[RungQuality, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For the screen: the false stops, the rungs, whether the first is too early."""
        if self.num_condemned == 0:
            return ["Early stopping stopped nothing."]
        text = [
            f"Early stopping condemned {self.num_condemned} trials; {self.num_audited} of them ran on as an audit, "
            f"{self.num_false} would have been a finalist (false-stop rate 95 % in "
            f"[{self.low:.2f}, {self.high:.2f}])."
        ]
        for rung in self.rungs:
            if rung.correlation is not None:
                interval = f" [{rung.low:.2f}, {rung.high:.2f}]" if rung.low is not None else ""
                text.append(
                    f"Rank correlation of step {rung.step} with the end: {rung.correlation:.2f}{interval}, "
                    f"{rung.num_trials} trials."
                )
        return [*text, self.verdict()]

    def verdict(self) -> str:
        """Whether the first rung is too early, as far as these trials can tell."""
        first = self.rungs[0] if self.rungs else None
        if first is None or first.low is None or first.high is None:
            return "Whether the first rung is too early cannot be told from so few trials."
        if first.high < _WEAK_CORRELATION:
            return f"The first rung, step {first.step}, is too early: it hardly tells how trials end."
        if first.low > _WEAK_CORRELATION:
            return f"The first rung, step {first.step}, is late enough."
        return f"Whether the first rung, step {first.step}, is too early cannot be told from these trials."


def audit_report(records: Iterable[TrialRecord], num_finalists: int) -> AuditReport:
    """The audit of a search. num_finalists: proposals that it confirms."""
    records = [r for r in records if r.purpose is Purpose.SEARCH]
    audited = [
        r for r in records if r.condemned_at is not None and r.state in (State.COMPLETE, State.DIVERGED)
    ]
    stopped = sum(was_condemned(r) for r in records)
    complete = [r for r in records if r.state is State.COMPLETE]
    kept = sorted(r.reports[-1].objective for r in complete if r.condemned_at is None)
    num_finalists = max(1, num_finalists)
    # While there are fewer, any trial that ends is a finalist.
    bar = kept[num_finalists - 1] if len(kept) >= num_finalists else math.inf
    num_false = sum(r.state is State.COMPLETE and r.reports[-1].objective < bar for r in audited)
    low, high = clopper_pearson(num_false, len(audited))
    steps = sorted({report.step for r in complete for report in r.reports})[:-1]
    return AuditReport(
        num_condemned=stopped + sum(r.condemned_at is not None for r in records),
        num_audited=len(audited),
        num_false=num_false,
        low=low,
        high=high,
        rungs=tuple(_quality(complete, step) for step in steps),
    )


def _quality(complete: Sequence[TrialRecord], step: int) -> RungQuality:
    pairs = [
        (report.objective, r.reports[-1].objective)
        for r in complete
        for report in r.reports
        if report.step == step
    ]
    found = rank_correlation(pairs)
    return RungQuality(step, len(pairs), found.value, found.low, found.high)


def clopper_pearson(count: int, total: int) -> tuple[float, float]:
    """The exact 95 % interval of a share, of which `count` of `total` were seen: Clopper & Pearson 1934."""
    tail = (1 - CONFIDENCE) / 2
    low = quantiles.beta(count, total - count + 1, tail) if count else 0.0
    high = quantiles.beta(count + 1, total - count, 1 - tail) if count < total else 1.0
    return low, high
