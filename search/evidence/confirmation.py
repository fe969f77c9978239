"""What fresh seeds say of schedules: means, ranks, ratios to the baseline."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.evidence.intervals import Estimate, estimate, ranks, ratio_of
from search.evidence.noise import SeedValues
from search.evidence.race import Standing
from search.evidence.row import Row, num_diverged, values_of
from search.record import Purpose, State, TrialRecord


@dataclass(frozen=True)
class Confirmation:
    """What fresh seeds say of each schedule that is confirmed, by its trial number.

    contenders: those that are still in the race, None without a race. known: at the full budget.
    """

    replicates: Mapping[int, Mapping[int, TrialRecord]]
    values: Mapping[int, Mapping[int, float]]
    estimates: Mapping[int, Estimate]
    ranks: Mapping[int, int]
    contenders: Collection[int] | None
    known: SeedValues

    @classmethod
    def of(
        cls,
        records: Iterable[TrialRecord],
        replicates: Mapping[int, Mapping[int, TrialRecord]],
        contenders: Collection[int] | None,
        known: SeedValues,
    ) -> "Confirmation":
        """From the trials that confirm schedules. known: objectives at the full budget."""
        values = {number: values_of(own) for number, own in replicates.items()}
        estimates = {
            number: estimate(
                list(own.values()), known.noise_of(number, {number: own}), _num_intervals(values)
            )
            for number, own in values.items()
        }
        kinds = {record.number: record.purpose for record in records}
        rank_of = ranks(values, known.noise_of_ratio, contenders=contenders, kinds=kinds)
        return cls(replicates, values, estimates, rank_of, contenders, known)

    def order(self, record: TrialRecord) -> tuple[Any, ...]:
        """By the confirmed mean; without confirmation, by what was seen in the search."""
        number = record.number
        if number not in self.values:
            return (True, False, 0, record.objective, number)
        diverged = num_diverged(self.values[number])
        return (False, not self._in_race(number), diverged, self.estimates[number].mean, number)

    def row(self, record: TrialRecord, baseline: TrialRecord | None) -> Row:
        """The row of a schedule, compared to the baseline."""
        number = record.number
        if number not in self.values:
            return Row(record=record)
        rank = self.ranks[number]
        return Row(
            record=record,
            rank=rank,
            tied=list(self.ranks.values()).count(rank) > 1,
            in_race=self._in_race(number),
            replicates=self.replicates[number],
            estimate=self.estimates[number],
            ratio=None if baseline is None or baseline is record else self._ratio(number, baseline.number),
        )

    def _in_race(self, number: int) -> bool:
        return self.contenders is None or number in self.contenders

    def _ratio(self, number: int, baseline: int) -> Estimate | None:
        return ratio_of(self.values, number, baseline, self.known.noise_of_ratio, _num_intervals(self.values))


def _num_intervals(confirmed: Collection[int]) -> int:
    """How many intervals hold together: a mean of each, and a ratio of each to the baseline but of itself."""
    return 2 * len(confirmed) - 1


def order_of(row: Row) -> tuple[Any, ...]:
    """Confirmed rows by rank; then those that got furthest, by value; last those without a result."""
    if row.estimate is not None:
        return (0, row.rank, row.num_diverged, row.estimate.mean, row.record.number)
    if row.record.state in (State.FAILED, State.RUNNING) or row.search_value is None:
        return (2, 0, 0, 0.0, row.record.number)
    return (1, -row.record.reports[-1].step, 0, row.search_value, row.record.number)


def replicates_of(
    records: Sequence[TrialRecord], race: Standing | None, own_values: bool
) -> dict[int, dict[int, TrialRecord]]:
    """Trial number -> the trials of its schedule by fresh seed, of all schedules that are confirmed.

    That is, once the first round of the race is decided, of all that are or were in it, on two seeds at least;
    without a race of all, once one was confirmed. Replicates made during the search count as well.
    """
    found: defaultdict[int, dict[int, TrialRecord]] = defaultdict(dict)
    for record in records:
        has_result = record.state in (State.COMPLETE, State.DIVERGED) and bool(record.reports)
        done = has_result and record.is_comparable
        if done and (own_values or record.replicate_of is not None):
            found[record.number if record.replicate_of is None else record.replicate_of][record.seed] = record
    confirmed = {record.replicate_of for record in records if record.purpose is Purpose.CONFIRM}
    if own_values or (race is None and confirmed):
        return dict(found)
    if race is None or not race.is_decided:
        return {}
    raced = race.finalists | confirmed
    return {number: own for number, own in found.items() if number in raced and len(own) >= 2}
