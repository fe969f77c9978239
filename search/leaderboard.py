"""The answer of a search: what is confirmed, by how much it differs, what is tied, what is not confirmed."""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from search.audit import AuditReport, audit_report
from search.confirm import Estimate, estimate, paired_difference, ranks
from search.noise_floor import SeedNoise, noise_at_rungs
from search.record import Stage, State, TrialRecord

INTERVALS = "95% Student t over training seeds; differences paired by seed, 95% for all together (Bonferroni)"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One schedule. confirmed rows have a rank, which tied rows share; the others stand below them.

    in_race: whether it stayed in the confirmation to the end; one that left it as worse has fewer seeds.
    replicates: by training seed, the trials that confirm it. search_value: objective seen in the search, on the
    one seed that selected it; optimism: how much lower that was than the confirmed mean (the winner's curse, if
    positive). difference: to the best baseline, paired by seed; negative is better.
    """

    record: TrialRecord
    rank: int | None = None
    tied: bool = False
    in_race: bool = False
    replicates: Mapping[int, TrialRecord] = field(default_factory=dict)
    estimate: Estimate | None = None
    difference: Estimate | None = None

    @property
    def values(self) -> dict[int, float]:
        """Objective at the full budget by training seed."""
        return _values(self.replicates)

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
    def is_better(self) -> bool:
        """Whether it is shown to be better than the best baseline."""
        return self.difference is not None and self.difference.excludes_zero and self.difference.mean < 0

    @property
    def num_options(self) -> int:
        """Options of its schedule that a search could tune: how complicated it is."""
        schedule = self.record.schedule
        return len(schedule.noise.SPACE) + len(schedule.curriculum.SPACE)

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
            "stage": str(self.record.stage),
            "state": str(self.record.state),
            "step": self.record.reports[-1].step if self.record.reports else 0,
            "schedule": self.record.schedule.to_dict(),
            "describe": self.record.schedule.describe(),
            "search_value": self.search_value,
            "mean": self.estimate.mean if self.estimate else None,
            "interval": _interval(self.estimate),
            "values": {str(seed): value for seed, value in sorted(self.values.items())},
            "replicates": {str(seed): record.number for seed, record in sorted(self.replicates.items())},
            "difference": self.difference.mean if self.difference else None,
            "difference_interval": _interval(self.difference),
            "optimism": self.optimism,
        }


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """All schedules of a search, the best first. baseline: the literature preset that others are compared to.

    noise: by step, how much the objective differs between seeds. audit: what early stopping got wrong.
    """

    name: str
    objective: str
    rows: tuple[Row, ...]
    baseline: Row | None
    noise: Mapping[int, SeedNoise] = field(default_factory=dict)
    audit: AuditReport | None = None

    @property
    def best(self) -> tuple[Row, ...]:
        """The confirmed rows that cannot be told from the best mean, the best mean first."""
        return tuple(row for row in self.rows if row.rank == 1)

    @property
    def winner(self) -> Row | None:
        """What to use: of the tied best a baseline, since nothing is shown to beat it, else the simplest."""
        best = self.best
        if all(row.record.stage is Stage.BASELINE for row in self.rows):  # a comparison of presets
            return best[0] if best else None
        if best and best[0].is_better:
            best = tuple(row for row in best if row.is_better)
        return min(
            best, key=lambda row: (row.record.stage is not Stage.BASELINE, row.num_options), default=None
        )

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
            "winner": self.winner.record.number if self.winner else None,
            "interval": INTERVALS,
            "noise": {str(step): asdict(noise) for step, noise in self.noise.items()},
            "audit": self.audit.to_dict() if self.audit else None,
            "rows": [row.to_dict() for row in self.rows],
        }

    def sentence(self) -> str:
        """The finding in words, no stronger than the numbers."""
        winner, baseline = self.winner, self.baseline
        if winner is None or winner.estimate is None:
            return "No schedule is confirmed on fresh seeds yet."
        tied = self._tied_text(winner)
        if baseline is None or all(row.record.stage is Stage.BASELINE for row in self.rows):
            return f"Best mean: {winner.label}.{tied}"
        if winner is baseline:
            return f"No schedule is shown to be better than the best baseline, {baseline.label}.{tied}"
        difference = winner.difference
        assert difference is not None
        seeds = winner.values.keys() & baseline.values.keys()
        better = sum(winner.values[seed] < baseline.values[seed] for seed in seeds)
        verdict = "better than" if winner.is_better else "not shown to be better than"
        return (
            f"{winner.label} is {verdict} the best baseline, {baseline.label}: "
            f"{difference.mean:+.1f}{_text(_interval(difference))} {self.objective}, "
            f"lower on {better} of {len(seeds)} fresh seeds.{tied}"
        )

    def _tied_text(self, winner: Row) -> str:
        others = [row for row in self.best if row is not winner]
        if not others:
            return ""
        text = f" Tied with it: {', '.join(_tied_label(row, self.baseline is winner) for row in others)}."
        if winner is self.best[0]:
            return text
        reason = "a baseline" if winner.record.stage is Stage.BASELINE else f"{winner.num_options} options"
        return f"{text} Of these it is taken as the simplest ({reason})."

    def noise_line(self) -> str | None:
        """How much seeds alone make, in one line."""
        if not self.noise:
            return None
        noise = self.noise[max(self.noise)]
        by_chance = math.exp(1.96 * math.sqrt(2) * noise.sd)
        return (
            f"Noise between seeds: sd {noise.sd:.2f} of ln {self.objective}, {noise.degrees} degrees of freedom. "
            f"On one seed each, equal schedules differ by a factor of up to {by_chance:.2f} (95 %)."
        )


def leaderboard(
    name: str,
    objective: str,
    records: Iterable[TrialRecord],
    *,
    contenders: Collection[int] | None = None,
    num_finalists: int = 0,
    own_values: bool = False,
) -> Leaderboard:
    """The leaderboard of these trials. Failed trials and replicates have no row of their own.

    contenders: finalists that are still in the confirmation, None: all. num_finalists: proposals that are confirmed.
    own_values: the trials' own values count as well; honest only where nothing was selected by them.
    """
    records = list(records)
    replicates = _replicates(records, own_values)
    values = {number: _values(own) for number, own in replicates.items()}
    rank_of = ranks(values, contenders)
    shared = Counter(rank_of.values())
    candidates = [record for record in records if record.replicate_of is None]
    comparisons = max(1, len(values) - 1)
    # The best by its confirmed mean; without confirmation, by what was seen in the search.
    baseline = min(
        (r for r in candidates if r.stage is Stage.BASELINE and r.state is State.COMPLETE),
        key=lambda record: (
            record.number not in values,
            contenders is not None and record.number not in contenders,
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
            tied=shared[rank_of[record.number]] > 1,
            in_race=contenders is None or record.number in contenders,
            replicates=replicates[record.number],
            estimate=estimate(list(own.values())),
            difference=paired_difference(own, against, comparisons) if against else None,
        )

    def order(row: Row) -> tuple[Any, ...]:
        if row.estimate is not None:
            return (0, not row.in_race, row.estimate.mean, row.record.number)
        # Without confirmation: those that got furthest first, then by value.
        objective = row.search_value
        if row.record.state in (State.FAILED, State.RUNNING) or objective is None:
            return (2, False, 0.0, row.record.number)
        return (1, False, -row.record.reports[-1].step, objective, row.record.number)

    rows = sorted((row(record) for record in candidates), key=order)
    return Leaderboard(
        name=name,
        objective=objective,
        rows=tuple(rows),
        baseline=next((row for row in rows if baseline and row.record.number == baseline.number), None),
        noise=noise_at_rungs(records),
        audit=audit_report(records, num_finalists),
    )


def _values(replicates: Mapping[int, TrialRecord]) -> dict[int, float]:
    return {seed: record.reports[-1].objective for seed, record in replicates.items()}


def _replicates(records: Sequence[TrialRecord], own_values: bool) -> dict[int, dict[int, TrialRecord]]:
    """Trial number -> the trials of its schedule by fresh seed, of all schedules that have any.

    Replicates made during the search count once the confirmation has begun.
    """
    begun = any(record.stage is Stage.CONFIRM for record in records)
    found: defaultdict[int, dict[int, TrialRecord]] = defaultdict(dict)
    for record in records:
        counts = begun and record.replicate_of is not None
        done = record.state in (State.COMPLETE, State.DIVERGED) and bool(record.reports)
        of = record.number if record.replicate_of is None else record.replicate_of
        if (counts or (own_values and record.replicate_of is None)) and done:
            found[of][record.seed] = record
    return dict(found)


def lines(board: Leaderboard, limit: int = 12) -> list[str]:
    """The leaderboard for a terminal of 80 columns; at most `limit` rows of two lines each."""
    text = [
        f"{board.name}: {board.objective}, lower is better",
        f"{'rank':<7} {'schedule':<18} {'mean [95 %]':>20} {'vs baseline':>19} {'in search':>11}",
    ]
    for row in board.rows[:limit]:
        text.append(_row_line(row, row is board.baseline))
        seeds = f"{len(row.replicates)} seeds: " if row.replicates else ""
        text.append(f"        {seeds}{row.record.schedule.describe()}")
    if len(board.rows) > limit:
        text.append(f"and {len(board.rows) - limit} more")
    return text


def evidence_lines(board: Leaderboard) -> list[str]:
    """How far the search can be trusted: the noise between seeds, and what early stopping got wrong."""
    noise = board.noise_line()
    stopping = board.audit.lines() if board.audit is not None and board.audit.num_condemned else []
    return [*([noise] if noise else []), *stopping]


def _tied_label(row: Row, with_difference: bool) -> str:
    if not with_difference or row.difference is None:
        return row.label
    return f"{row.label} ({row.difference.mean:+.1f}{_text(_interval(row.difference))})"


def _row_line(row: Row, is_baseline: bool) -> str:
    seen = "" if row.search_value is None else _number(row.search_value)
    if row.record.state is not State.COMPLETE:
        step = row.record.reports[-1].step if row.record.reports else 0
        seen = f"{seen} at step {step}, {row.record.state}".strip()
    if row.estimate is None:
        return f"{'-':<7} {row.label:<18} {'not confirmed':>20} {'':>19} {seen:>11}"
    rank = f"{row.rank}{' tied' if row.tied else ''}"
    mean = _number(row.estimate.mean)
    difference = "baseline" if is_baseline else ""
    if not row.in_race:
        difference = "left the race"  # on too few seeds for an interval that says anything
        return f"{rank:<7} {row.label:<18} {mean:>20} {difference:>19} {seen:>11}"
    mean += _text(_interval(row.estimate))
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
