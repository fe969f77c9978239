"""The answer of a search: what is confirmed, by how much it differs, what is tied, what is not confirmed."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from search.confirm import Estimate, estimate, paired_difference, ranks
from search.record import Stage, State, TrialRecord


@dataclass(frozen=True, kw_only=True)
class Row:
    """One schedule. confirmed rows have a rank, which tied rows share; the others stand below them.

    search_value: objective seen in the search, on the one seed that selected it; optimism: how much lower that
    was than the confirmed mean (the winner's curse, if positive). difference: to the best baseline, paired by
    seed; negative is better.
    """

    record: TrialRecord
    rank: int | None = None
    tied: bool = False
    values: dict[int, float] | None = None
    estimate: Estimate | None = None
    difference: Estimate | None = None

    @property
    def confirmed(self) -> bool:
        return self.estimate is not None

    @property
    def search_value(self) -> float | None:
        return self.record.objective

    @property
    def optimism(self) -> float | None:
        if self.estimate is None or self.search_value is None:
            return None
        return self.estimate.mean - self.search_value

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
            "number": self.record.number,
            "preset": self.record.preset,
            "stage": str(self.record.stage),
            "state": str(self.record.state),
            "step": self.record.reports[-1].step if self.record.reports else 0,
            "schedule": self.record.schedule.to_dict(),
            "describe": self.record.schedule.describe(),
            "search_value": self.search_value,
            "mean": self.estimate.mean if self.estimate else None,
            "interval": _interval(self.estimate),
            "values": {str(seed): value for seed, value in sorted((self.values or {}).items())},
            "difference": self.difference.mean if self.difference else None,
            "difference_interval": _interval(self.difference),
            "optimism": self.optimism,
        }


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """All schedules of a search, the best first. baseline: the literature preset that others are compared to."""

    name: str
    objective: str
    rows: tuple[Row, ...]
    baseline: Row | None

    @property
    def winner(self) -> Row | None:
        """The confirmed row with the best mean; `tied` on it says if others cannot be told from it."""
        return next((row for row in self.rows if row.confirmed), None)

    @property
    def best_unconfirmed(self) -> Row | None:
        """The best finished row without confirmation."""
        return next(
            (row for row in self.rows if not row.confirmed and row.record.state is State.COMPLETE), None
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "objective": self.objective,
            "baseline": self.baseline.record.number if self.baseline else None,
            "interval": "95% Student t over training seeds; differences paired by seed",
            "rows": [row.to_dict() for row in self.rows],
        }

    def sentence(self) -> str:
        """The finding in words, no stronger than the numbers."""
        winner, baseline = self.winner, self.baseline
        if winner is None or winner.estimate is None:
            return "No schedule is confirmed on fresh seeds yet."
        others = [row.label for row in self.rows if row.rank == winner.rank and row is not winner]
        tied = f" Tied with it: {', '.join(others)}." if others else ""
        if baseline is None:
            return f"Best mean: {winner.label}.{tied}"
        if winner is baseline:
            return f"No schedule has a better mean than the best baseline, {baseline.label}.{tied}"
        difference = winner.difference
        assert difference is not None and winner.values is not None and baseline.values is not None
        seeds = winner.values.keys() & baseline.values.keys()
        better = sum(winner.values[seed] < baseline.values[seed] for seed in seeds)
        verdict = (
            "better than"
            if difference.excludes_zero and difference.mean < 0
            else "not shown to be better than"
        )
        return (
            f"{winner.label} is {verdict} the best baseline, {baseline.label}: "
            f"{difference.mean:+.1f}{_text(_interval(difference))} {self.objective}, "
            f"lower on {better} of {len(seeds)} fresh seeds.{tied}"
        )


def leaderboard(name: str, objective: str, records: Iterable[TrialRecord]) -> Leaderboard:
    """The leaderboard of these trials. Failed trials and replicates have no row of their own."""
    records = list(records)
    values: dict[int, dict[int, float]] = {}
    for record in records:
        done = record.state in (State.COMPLETE, State.DIVERGED)
        if record.stage is Stage.CONFIRM and done and record.objective is not None:
            assert record.replicate_of is not None
            values.setdefault(record.replicate_of, {})[record.seed] = record.objective
    rank_of = ranks(values)
    shared = list(rank_of.values())
    candidates = [record for record in records if record.stage is not Stage.CONFIRM]
    # The best by its confirmed mean; without confirmation, by what was seen in the search.
    baseline = min(
        (r for r in candidates if r.stage is Stage.BASELINE and r.state is State.COMPLETE),
        key=lambda record: (
            record.number not in values,
            estimate(list(values[record.number].values())).mean
            if record.number in values
            else record.objective,
            record.number,
        ),
        default=None,
    )

    def row(record: TrialRecord) -> Row:
        own = values.get(record.number)
        if own is None:
            return Row(record=record)
        against = values.get(baseline.number) if baseline and baseline is not record else None
        return Row(
            record=record,
            rank=rank_of[record.number],
            tied=shared.count(rank_of[record.number]) > 1,
            values=own,
            estimate=estimate(list(own.values())),
            difference=paired_difference(own, against) if against else None,
        )

    def order(row: Row) -> tuple[Any, ...]:
        if row.estimate is not None:
            return (0, row.estimate.mean, row.record.number)
        # Without confirmation: those that got furthest first, then by value.
        objective = row.search_value
        if row.record.state in (State.FAILED, State.RUNNING) or objective is None:
            return (2, 0.0, row.record.number)
        return (1, -row.record.reports[-1].step, objective, row.record.number)

    rows = sorted((row(record) for record in candidates), key=order)
    return Leaderboard(
        name=name,
        objective=objective,
        rows=tuple(rows),
        baseline=next((row for row in rows if baseline and row.record.number == baseline.number), None),
    )


def lines(board: Leaderboard, limit: int = 12) -> list[str]:
    """The leaderboard for a terminal of 80 columns; at most `limit` rows of two lines each."""
    text = [
        f"{board.name}: {board.objective}, lower is better",
        f"{'rank':<7} {'schedule':<18} {'mean [95 %]':>20} {'vs baseline':>19} {'in search':>11}",
    ]
    for row in board.rows[:limit]:
        text.append(_row_line(row, row is board.baseline))
        text.append(f"        {row.record.schedule.describe()}")
    if len(board.rows) > limit:
        text.append(f"and {len(board.rows) - limit} more")
    return text


def _row_line(row: Row, is_baseline: bool) -> str:
    seen = "" if row.search_value is None else _number(row.search_value)
    if row.record.state is not State.COMPLETE:
        step = row.record.reports[-1].step if row.record.reports else 0
        seen = f"{seen} at step {step}, {row.record.state}".strip()
    if row.estimate is None:
        return f"{'-':<7} {row.label:<18} {'not confirmed':>20} {'':>19} {seen:>11}"
    rank = f"{row.rank}{' tied' if row.tied else ''}"
    mean = f"{_number(row.estimate.mean)}{_text(_interval(row.estimate))}"
    difference = "baseline" if is_baseline else ""
    if row.difference is not None:
        difference = f"{row.difference.mean:+.1f}{_text(_interval(row.difference))}"
    return f"{rank:<7} {row.label:<18} {mean:>20} {difference:>19} {seen:>11}"


def _interval(estimate: Estimate | None) -> list[float] | None:
    if estimate is None or estimate.low is None or estimate.high is None:
        return None
    return [estimate.low, estimate.high]


def _text(interval: list[float] | None) -> str:
    return "" if interval is None else f" [{_number(interval[0])}, {_number(interval[1])}]"


def _number(value: float) -> str:
    return f"{value:.1f}" if abs(value) < 1e5 else f"{value:.0e}"
