"""Each value of each finalist, and how often a schedule differs from seed to seed."""

from typing import Any

from search.record import has_diverged
from search.report.found import Found, plotted


def seed_values(found: Found) -> list[dict[str, Any]]:
    """One for each value at the full budget: schedule, seed, value, trial, when ("in the search", "fresh seed")."""
    points: list[dict[str, Any]] = []
    for row in found.shown_rows:
        if row.search_value is not None and row.record.reports[-1].step == found.total_steps:
            seen = (row.record.seed, row.search_value, row.record.number, "in the search")
            points.append(_point(row.label, *seen))
        points += [
            _point(row.label, seed, record.reports[-1].objective, record.number, "fresh seed")
            for seed, record in sorted(row.replicates.items())
            if record is not row.record
        ]
    return [point for point in points if not has_diverged(point["value"])]


def _point(label: str, seed: int, value: float, number: int, when: str) -> dict[str, Any]:
    return {"schedule": label, "seed": seed, "value": plotted(value), "trial": number, "when": when}


def means(found: Found) -> list[dict[str, Any]]:
    """The confirmed mean of each shown schedule with its interval: schedule, rank, mean, low, high."""
    return [
        {
            "schedule": row.label,
            "rank": row.rank_text,
            "mean": plotted(row.estimate.mean),
            "low": plotted(row.estimate.mean if row.estimate.low is None else row.estimate.low),
            "high": plotted(row.estimate.mean if row.estimate.high is None else row.estimate.high),
        }
        for row in found.shown_rows
        if row.estimate is not None and not row.num_diverged
    ]
