"""The answer of a search: what is confirmed, by how much it differs, what is tied, what is not confirmed."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from search.evidence.audit import AuditReport, audit_report
from search.evidence.confirmation import Confirmation, order_of, replicates_of
from search.evidence.holding import Held, HoldRules, InSetting, in_settings
from search.evidence.measures import ByMeasure, Measure, by_measures, lacks
from search.evidence.noise import SeedNoise, SeedValues, values_at_rungs
from search.evidence.race import Standing
from search.evidence.row import Row
from search.evidence.shortlist import Listed, shortlist
from search.record import Purpose, State, TrialRecord

# The largest mean ratio to the best baseline of a schedule that holds in a setting, where the two are not told apart.
# Without such a margin a coin decides where they are equal (`python -m bench.quality.coverage`).
AS_GOOD = 1.05

INTERVALS = (
    "means are geometric, ratios are paired by seed; 95% Student t over training seeds on ln(objective), variances "
    "moderated by the noise of other schedules of the same kind (Smyth 2004), 95% for all means and ratios together "
    "(Bonferroni)"
)


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """All schedules of a search, the best first.

    baseline: the literature preset that others are compared to: the best one, or that of a comparison. settings: what
    was found in other settings than the search's. shortlist: from which the confirmed were chosen by all settings, the
    best first. measures: by which the samples of models are measured besides.
    missing_judges: feature network of some of them -> why it cannot be had. noise: by step, how much the objective
    differs between seeds. audit: what early stopping got wrong. num_missing: trials that the confirmation still wants,
    as far as is known now. notes: what else is to be known of the winner.
    """

    name: str
    objective: str
    rows: tuple[Row, ...]
    baseline: Row | None
    settings: tuple[InSetting, ...] = ()
    shortlist: tuple[Listed, ...] = ()
    measures: tuple[Measure, ...] = ()
    missing_judges: Mapping[str, str] = field(default_factory=dict)
    noise: Mapping[int, SeedNoise] = field(default_factory=dict)
    audit: AuditReport | None = None
    num_missing: int = 0
    notes: tuple[str, ...] = ()

    @property
    def is_comparison(self) -> bool:
        """Whether presets are all there is. While nothing is confirmed, it may be a search that has just begun."""
        presets_only = all(row.record.purpose is Purpose.BASELINE for row in self.rows)
        return presets_only and any(row.confirmed for row in self.rows)

    @property
    def best(self) -> tuple[Row, ...]:
        """The confirmed rows that cannot be told from the best mean, the best mean first."""
        return tuple(row for row in self.rows if row.rank == 1)

    @cached_property
    def winner(self) -> Row | None:
        """What to use. Where schedules were compared in other settings, what holds there; else the best as searched."""
        if not self.compared_in or self.baseline is None:
            return self.best_as_searched
        return self.holding(AS_GOOD)

    @cached_property
    def compared_in(self) -> tuple[InSetting, ...]:
        """The other settings in which schedules have been compared with a baseline."""
        return tuple(s for s in self.settings if s.is_compared and s.baseline is not None)

    def holding(self, as_good: float) -> Row | None:
        """What holds wherever it was compared: the schedule whose largest ratio to the best baseline is the smallest.

        Of those that are shown to be better than it somewhere and worse nowhere, if that ratio is at most `as_good`;
        else the baseline of which it is.
        """
        worst = {row.record.number: self._worst_ratio(row) for row in self.rows if self._may_hold(row)}
        best = min(worst, key=lambda number: (worst[number], number), default=None)
        if best is None or worst[best] > as_good:
            baselines = (row for row in self.rows if _is_preset(row) and row.confirmed and self.held(row))
            return min(baselines, key=self._worst_ratio, default=self.baseline)
        return next(row for row in self.rows if row.record.number == best)

    def _may_hold(self, row: Row) -> bool:
        verdicts = [held.verdict for held in self.held(row)]
        if _is_preset(row) or not verdicts or row.ratio is None or row.ratio.above_one:
            return False
        return "worse" not in verdicts and (row.is_better or "better" in verdicts)

    def _worst_ratio(self, row: Row) -> float:
        """Over all settings, the search's own too; 1 for what is the best baseline in all of them."""
        ratios = [row.ratio, *(held.ratio for held in self.held(row))]
        return max((found.mean for found in ratios if found is not None), default=1.0)

    def label_of(self, number: int | None) -> str:
        """What people call the schedule of a trial; None: of the baseline where there is none."""
        return next((row.label for row in self.rows if row.record.number == number), "no baseline")

    @property
    def baseline_label(self) -> str:
        return self.baseline.label if self.baseline else "no baseline"

    def held(self, row: Row) -> tuple[Held, ...]:
        """What is known of this schedule in the other settings; nothing unless it was compared in all of them."""
        found = [setting.row_of(row.record.number) for setting in self.compared_in]
        held = tuple(one for one in found if one is not None)
        return held if len(held) == len(found) else ()

    def by_measures(self, row: Row) -> tuple[ByMeasure, ...]:
        """The row's models compared with the best baseline's by other measures; nothing for the baseline itself."""
        if self.baseline is None or row is self.baseline:
            return ()
        return by_measures(self.measures, row.replicates, self.baseline.replicates)

    def to_measure(self) -> tuple[TrialRecord, ...]:
        """Trials whose samples are to be measured still: of finalists and of the best baseline, on fresh seeds."""
        if not (compared := self.compared_by_measures()):
            return ()
        measures = [measure for measure in self.measures if measure.judge not in self.missing_judges]
        both = compared[0].replicates.keys() & {seed for row in compared[1:] for seed in row.replicates}
        records = [record for row in compared for seed, record in row.replicates.items() if seed in both]
        return tuple(sorted((r for r in records if lacks(r, measures)), key=lambda r: (r.seed, r.number)))

    def compared_by_measures(self) -> list[Row]:
        """The best baseline, then the proposals that may be called better than it; nothing without both."""
        if self.is_comparison or self.baseline is None or not self.baseline.confirmed:
            return []
        answers = (self.winner, self.best_as_searched)
        proposals = [
            row
            for row in self.rows
            if row.record.purpose is Purpose.SEARCH and row.confirmed and (row.in_race or row in answers)
        ]
        return [self.baseline, *proposals] if proposals else []

    @property
    def best_as_searched(self) -> Row | None:
        """In the search's own setting, the simplest of the best that are within one standard error of the best mean.

        Breiman et al.'s rule (Classification and Regression Trees, 1984, section 3.4.3). A baseline is the simplest of
        all. Where some of the best are shown to be better than the best baseline, it is one of them.
        """
        best = self.best
        if not best or self.is_comparison:
            return best[0] if best else None
        first = best[0].estimate
        assert first is not None
        within = first.mean * math.exp(first.standard_error or 0.0)
        near = [row for row in best if row.estimate is not None and row.estimate.mean <= within]
        better = [row for row in near if row.is_better] or [row for row in best if row.is_better]
        return min(
            better or near, key=lambda row: (row.record.purpose is not Purpose.BASELINE, row.num_options)
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
            "missing": self.num_missing,
            "notes": list(self.notes),
            "settings": [found.to_dict() for found in self.settings],
            "shortlist": [one.to_dict() for one in self.shortlist],
            "measures": {
                str(row.record.number): [by.to_dict() for by in self.by_measures(row)]
                for row in self.compared_by_measures()
                if row is not self.baseline
            },
            "interval": INTERVALS,
            "noise": {str(step): asdict(noise) for step, noise in self.noise.items()},
            "audit": self.audit.to_dict() if self.audit else None,
            "rows": [row.to_dict() for row in self.rows],
        }


def leaderboard(
    name: str,
    objective: str,
    records: Iterable[TrialRecord],
    *,
    race: Standing | None = None,
    num_finalists: int = 0,
    own_values: bool = False,
    reference: str | None = None,
    holds: HoldRules | None = None,
    seeds: Sequence[int] = (),
    measures: Sequence[Measure] = (),
    missing_judges: Mapping[str, str] | None = None,
) -> Leaderboard:
    """The leaderboard of these trials. Replicates have no row of their own.

    race: how the confirmation stands, None: there is none. num_finalists: proposals that are confirmed. own_values:
    the trials' own values count as well; honest only where nothing was selected by them. reference: the preset that
    others are compared to, chosen beforehand; None: the best. holds: in which other settings finalists are trained, on
    which of the fresh `seeds`. measures, missing_judges: as the leaderboard has them.
    """
    records = list(records)
    known = values_at_rungs(records)
    noises = {step: found for step, values in known.items() if (found := values.noise) is not None}
    full = max(
        (r.reports[-1].step for r in records if r.state is State.COMPLETE and r.is_comparable), default=0
    )
    replicates = replicates_of(records, race, own_values)
    contenders = race.contenders if race else None
    confirmation = Confirmation.of(records, replicates, contenders, known.get(full, SeedValues({})))
    candidates = [record for record in records if record.replicate_of is None]
    baselines = [record for record in candidates if _is_baseline(record, reference)]
    baseline = min(baselines, key=confirmation.order, default=None)
    rows = sorted((confirmation.row(record, baseline) for record in candidates), key=order_of)
    num_running = sum(r.purpose is Purpose.CONFIRM and r.state is State.RUNNING for r in records)
    return Leaderboard(
        name=name,
        objective=objective,
        rows=tuple(rows),
        baseline=next((row for row in rows if row.record is baseline), None),
        settings=in_settings(records, race, holds, seeds) if race and holds else (),
        shortlist=tuple(shortlist(records, holds, num_finalists)) if race and holds else (),
        measures=tuple(measures),
        missing_judges=missing_judges or {},
        noise=noises,
        audit=audit_report(records, num_finalists),
        num_missing=len(race.missing) + num_running if race else 0,
    )


def _is_preset(row: Row) -> bool:
    return row.record.purpose is Purpose.BASELINE


def _is_baseline(record: TrialRecord, reference: str | None) -> bool:
    """Whether others may be compared to it."""
    is_finished_preset = record.purpose is Purpose.BASELINE and record.state is State.COMPLETE
    return is_finished_preset and reference in (None, record.preset)
