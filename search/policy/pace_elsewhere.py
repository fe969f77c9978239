"""How fast trials of another setting train (`holds_at`): as was timed before the search, then as they do."""

import itertools
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from search.policy.agenda import Agenda
from search.record import TrialRecord

_RECENT = 50  # trials whose time is looked at
_TRAINING = "train_seconds"  # among the metrics of a report
# What was known before counts for this share of a trial there.
_PRIOR_SHARE = 0.1


@dataclass(frozen=True)
class Ratio:
    """Seconds of a training step in a setting, in those of a step in the search's own. factor: it may be off by it.

    By default that of a setting of which nothing is known.
    """

    seconds: float = 1.0
    factor: float = 4.0


@dataclass(frozen=True)
class PaceElsewhere:
    """Slot seconds of a step in a setting, its part of measuring included. factor: they may be off by it."""

    seconds: float
    factor: float


def pace_in(agenda: Agenda, setting: str, own: float, ratio: Ratio) -> PaceElsewhere:
    """own: slot seconds of a step in the search's own setting, likewise."""
    plan = agenda.plan
    total_steps = plan.total_steps_in(setting)
    share = training_share(reversed(agenda.ledger.records.values()))
    # A trial is measured as often there.
    before = own * (share * ratio.seconds + (1 - share) * plan.total_steps / total_steps)
    spent = agenda.spending.elsewhere.get(setting)
    if spent is None or not spent.steps:
        return PaceElsewhere(before, ratio.factor)
    known = spent.steps / (spent.steps + _PRIOR_SHARE * total_steps)
    seen = spent.trials / spent.steps
    return PaceElsewhere(before ** (1 - known) * seen**known, ratio.factor ** (1 - known))


def training_share(records: Iterable[TrialRecord]) -> float:
    """Of a trial's time in the search's own setting, the part in which it trains; all where that is not known.

    records: the latest first. Between rungs: before the first a worker may start. The median, as some were interrupted.
    """
    measured = (record.reports for record in records if record.is_comparable and len(record.reports) > 1)
    shares = []
    for first, *_, last in itertools.islice(measured, _RECENT):
        seconds = (last.time_ms - first.time_ms) / 1000
        if seconds > 0 and _TRAINING in first.metrics and _TRAINING in last.metrics:
            shares.append((last.metrics[_TRAINING] - first.metrics[_TRAINING]) / seconds)
    return min(1.0, max(0.0, statistics.median(shares))) if shares else 1.0
