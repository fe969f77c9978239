"""The learning curves of a search, and which trials are drawn where there are too many for one picture."""

import random
from collections.abc import Iterable, Sequence
from typing import Any

from search.record import Purpose, State, TrialRecord, has_diverged
from search.report.found import Found, plotted
from search.screen.words import STATE_WORDS, title_of

MOST_DRAWN = 1500  # of one picture: it stays quick to look at, and the page small
_KEPT_WHOLE = (Purpose.BASELINE, Purpose.NOISE, Purpose.CONFIRM)

# How a curve is drawn, in the order of the legend; pale ones lie below.
KINDS = ("stopped", "searched", "audit", "baseline", "fresh seed")


def kind_of(record: TrialRecord) -> str:
    """What a trial is to a reader of the picture."""
    if record.purpose is Purpose.BASELINE:
        return "baseline"
    if record.replicate_of is not None:
        return "fresh seed"
    if record.condemned_at is not None:
        return "audit"
    return "stopped" if record.state is State.STOPPED else "searched"


def drawn(records: Sequence[TrialRecord], most: int = MOST_DRAWN) -> list[TrialRecord]:
    """At most so many trials with a value, by number: first what is more than one of many, then a fair draw.

    Without those in other settings, whose values do not compare.
    """
    comparable = [record for record in records if record.is_comparable]
    measured = [record for record in comparable if any(not has_diverged(r.objective) for r in record.reports)]
    if len(measured) <= most:
        return measured
    first = [r for r in measured if r.purpose in _KEPT_WHOLE or r.condemned_at is not None]
    best = sorted((r for r in measured if r.state is State.COMPLETE), key=lambda r: r.reports[-1].objective)
    kept = {record.number for record in [*first, *best[: most // 4]][:most]}
    rest = [record.number for record in measured if record.number not in kept]
    kept |= set(random.Random("drawn").sample(rest, max(0, min(len(rest), most - len(kept)))))
    return [record for record in measured if record.number in kept]


def points(records: Iterable[TrialRecord]) -> list[dict[str, Any]]:
    """One for each value: trial, kind, step, value. A diverged trial ends before it diverged."""
    return [
        {
            "trial": record.number,
            "kind": kind_of(record),
            "step": report.step,
            "value": plotted(report.objective),
        }
        for record in records
        for report in record.reports
        if not has_diverged(report.objective)
    ]


def described(found: Found, records: Iterable[TrialRecord]) -> dict[int, dict[str, str]]:
    """By trial number what a click shows: title, state, schedule, values, why."""
    return {record.number: _described(found, record) for record in records}


def _described(found: Found, record: TrialRecord) -> dict[str, str]:
    values = ", ".join(f"{_text(report.objective)} at step {report.step}" for report in record.reports)
    return {
        "title": title_of(record),
        "state": STATE_WORDS[record.state] + (f": {record.reason}" if record.reason else ""),
        "schedule": record.schedule.describe(),
        found.objective: values or "no value yet",
        "decisions": "; ".join(map(str, record.decisions)) or "none kept",
    }


def _text(objective: float) -> str:
    return "diverged" if has_diverged(objective) else f"{objective:.4g}"
