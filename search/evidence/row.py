"""One schedule on a leaderboard, with what is known of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from search.evidence.intervals import Estimate
from search.evidence.stability import instability_text
from search.evidence.texts import bounds_of, change_text
from search.record import State, TrialRecord, has_diverged


@dataclass(frozen=True, kw_only=True)
class Row:
    """One schedule. confirmed rows have a rank, which tied rows share; the others stand below them.

    in_race: whether it stayed in the confirmation to the end; one that left it as worse has fewer seeds.
    replicates: by training seed, the trials that confirm it. estimate: their mean. ratio: to the best baseline,
    paired by seed; below 1 is better. search_value: objective seen in the search, on the one seed that selected it.
    """

    record: TrialRecord
    rank: int | None = None
    tied: bool = False
    in_race: bool = False
    replicates: Mapping[int, TrialRecord] = field(default_factory=dict)
    estimate: Estimate | None = None
    ratio: Estimate | None = None

    @property
    def values(self) -> dict[int, float]:
        """Objective at the full budget by training seed."""
        return values_of(self.replicates)

    @property
    def confirmed(self) -> bool:
        return self.estimate is not None

    @property
    def search_value(self) -> float | None:
        return self.record.objective

    @property
    def optimism(self) -> float | None:
        """How much lower the value seen in the search was than the confirmed mean: the winner's curse, if positive."""
        if self.estimate is None or self.search_value is None:
            return None
        return self.estimate.mean - self.search_value

    @property
    def seen(self) -> dict[int, float]:
        """Objective at the full budget by training seed, that of the search included."""
        seen = self.search_value if self.record.state is State.COMPLETE else None
        return self.values if seen is None else {self.record.seed: seen, **self.values}

    @property
    def instability(self) -> str:
        """In a sentence, on which seeds it fails; nothing where none stands out."""
        return instability_text(self.label, self.seen)

    @property
    def num_diverged(self) -> int:
        """On how many of its seeds it diverged."""
        return num_diverged(self.values)

    @property
    def is_better(self) -> bool:
        """Whether it is shown to be better than the best baseline."""
        return self.ratio is not None and self.ratio.below_one

    @property
    def num_options(self) -> int:
        """Options of its schedule that a search could tune: how complicated it is."""
        schedule = self.record.schedule
        return len(schedule.noise.SPACE) + len(schedule.curriculum.SPACE)

    @property
    def rank_text(self) -> str:
        """`1 tied`; `-` without confirmation."""
        return "-" if self.rank is None else f"{self.rank}{' tied' if self.tied else ''}"

    @property
    def label(self) -> str:
        """The preset's name, or the trial's number."""
        return self.record.preset or f"trial {self.record.number}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "rank": self.rank,
            "tied": self.tied,
            "confirmed": self.confirmed,
            "in_race": self.in_race,
            "number": self.record.number,
            "preset": self.record.preset,
            "stage": str(self.record.purpose),
            "state": str(self.record.state),
            "step": self.record.reports[-1].step if self.record.reports else 0,
            "schedule": self.record.schedule.to_dict(),
            "describe": self.record.schedule.describe(),
            "search_value": self.search_value,
            "mean": self.estimate.mean if self.estimate else None,
            "interval": bounds_of(self.estimate),
            "values": {str(seed): value for seed, value in sorted(self.values.items())},
            "replicates": {str(seed): record.number for seed, record in sorted(self.replicates.items())},
            "ratio": self.ratio.mean if self.ratio else None,
            "ratio_interval": bounds_of(self.ratio),
            "optimism": self.optimism,
        }


def values_of(replicates: Mapping[int, TrialRecord]) -> dict[int, float]:
    """Objective at the full budget by training seed."""
    return {seed: record.reports[-1].objective for seed, record in replicates.items()}


def num_diverged(values: Mapping[int, float]) -> int:
    """On how many of the seeds the schedule diverged."""
    return sum(map(has_diverged, values.values()))


def ratio_text(row: Row) -> str:
    """How much lower (-) or higher (+) than the baseline, in per cent, with its interval; nothing for itself."""
    return "" if row.ratio is None else change_text(row.ratio)
