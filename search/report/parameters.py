"""The objective against each option that was searched, with the ends of its range."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search.record import SEARCHED, TrialRecord, has_diverged
from search.report.curves import drawn
from search.report.found import Found, plotted

_MOST_POINTS = 6000  # of all pictures together


@dataclass(frozen=True)
class Against:
    """One option. points: trial, x, value, step. low, high: ends of its range, None for choices. log: its scale."""

    name: str
    points: tuple[dict[str, Any], ...]
    low: float | None = None
    high: float | None = None
    log: bool = False


def against_options(found: Found) -> list[Against]:
    """The options that trials have values for, in the order of the space."""
    searched = [r for r in found.records if r.purpose in SEARCHED and r.replicate_of is None and r.params]
    records = drawn(searched, max(200, _MOST_POINTS // max(1, len(found.distributions))))
    return [one for name in found.distributions if (one := _against(found, name, records)).points]


def _against(found: Found, name: str, records: Sequence[TrialRecord]) -> Against:
    points = tuple(
        {
            "trial": record.number,
            "x": _shown(record.params[name]),
            "value": plotted(last.objective),
            "reached": "full budget" if last.step == found.total_steps else "stopped before",
        }
        for record in records
        if name in record.params and (last := record.reports[-1]) and not has_diverged(last.objective)
    )
    distribution = found.distributions[name]
    if isinstance(distribution, FloatDistribution | IntDistribution):
        return Against(name, points, distribution.low, distribution.high, distribution.log)
    assert isinstance(distribution, CategoricalDistribution)
    return Against(name, points)


def _shown(value: Any) -> Any:
    return float(f"{value:.5g}") if isinstance(value, float) else value
