"""Each value of each finalist, and how often a schedule differs from seed to seed."""

from statistics import geometric_mean
from typing import Any

from search.record import has_diverged
from search.report.found import Found, measured, plotted
from search.report.section import number


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


def averages(found: Found) -> tuple[list[str], list[list[str]]]:
    """EMA horizons, and for each shown schedule the geometric mean of its values with each of them.

    Over the models at the full budget, on fresh seeds where there are any. Both empty where trials have one average.
    """
    horizons: dict[str, None] = {}
    rows = []
    for row in found.shown_rows:
        records = [record for record in row.replicates.values() if measured(record)] or [row.record]
        finals = [
            record.reports[-1].metrics
            for record in records
            if record.reports and record.reports[-1].step == found.total_steps
        ]
        values: dict[str, list[float]] = {}
        for metrics in finals:
            for name, value in metrics.items():
                if name.startswith(f"{found.objective}_ema"):
                    values.setdefault(name.removeprefix(f"{found.objective}_ema"), []).append(value)
        horizons |= dict.fromkeys(values)
        rows.append((row.label, values))
    shown = [
        [label, *(_mean_text(values.get(horizon)) for horizon in horizons)]
        for label, values in rows
        if values
    ]
    return list(horizons), shown


def _mean_text(values: list[float] | None) -> str:
    return number(geometric_mean(max(value, 1e-12) for value in values)) if values else ""
