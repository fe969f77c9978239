"""What a search has cost, by what its trials were for."""

from collections.abc import Sequence
from dataclasses import dataclass

from search.record import Purpose, State, TrialRecord
from search.report.found import Found
from search.screen.live_state import PHASE_OF


@dataclass(frozen=True)
class Spent:
    """On one purpose. hours: that trials held their slots. saved: steps that stopped trials did not take."""

    purpose: str
    trials: int
    steps: int
    hours: float
    saved: int = 0


def spent(found: Found) -> list[Spent]:
    """By purpose in the order of a search; without what there was nothing of."""
    rows = [
        _spent(phase, [r for r in found.records if PHASE_OF[r.purpose] == phase], found.total_steps)
        for phase in dict.fromkeys(PHASE_OF[purpose] for purpose in Purpose)
    ]
    return [row for row in rows if row.trials]


def _spent(phase: str, records: Sequence[TrialRecord], total_steps: int) -> Spent:
    steps = [record.reports[-1].step if record.reports else 0 for record in records]
    stopped = [n for n, record in zip(steps, records, strict=True) if record.state is State.STOPPED]
    return Spent(
        phase, len(records), sum(steps), sum(map(_hours, records)), sum(total_steps - n for n in stopped)
    )


def _hours(record: TrialRecord) -> float:
    """From its start to its end; of one that runs, to its last report."""
    end = record.end_ms or (record.reports[-1].time_ms if record.reports else None)
    if record.start_ms is None or end is None:
        return 0.0
    return max(0, end - record.start_ms) / 3_600_000


def efficiency_text(found: Found) -> str:
    """How much early stopping saved, and how fast steps were."""
    rows = spent(found)
    steps, hours, saved = (sum(getattr(row, name) for row in rows) for name in ("steps", "hours", "saved"))
    if not steps:
        return "Nothing is paid for yet."
    text = f"{steps:,} optimizer steps in {hours:.2f} hours of trials"
    if hours:
        text += f", {steps / hours / 3600:.0f} steps a second in each"
    if saved:
        text += f". Early stopping saved {saved:,} steps, {saved / (steps + saved):.0%} of what all trials would take"
    return f"{text}."
