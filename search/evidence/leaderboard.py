"""The answer of a search: what is confirmed, by how much it differs, what is tied, what is not confirmed."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from search.evidence.audit import AuditReport, audit_report
from search.evidence.holding import Held, HoldRules, InSetting, in_settings
from search.evidence.intervals import Estimate, estimate, ranks, ratio_of
from search.evidence.measures import ByMeasure, Measure, by_measures, lacks, problem_lines, worse_text
from search.evidence.noise import SeedNoise, SeedValues, values_at_rungs
from search.evidence.race import Standing
from search.evidence.stability import instability_text, unseen_text
from search.evidence.texts import bounds_of, change_text
from search.record import Purpose, State, TrialRecord, has_diverged

INTERVALS = (
    "means are geometric, ratios are paired by seed; 95% Student t over training seeds on ln(objective), variances "
    "moderated by the noise of other schedules of the same kind (Smyth 2004), 95% for all means and ratios together "
    "(Bonferroni)"
)

_VERDICTS = {"worse": "worse", "tied": "not told apart", "better": "better"}


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
        return _values(self.replicates)

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
        return _num_diverged(self.values)

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


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """All schedules of a search, the best first.

    baseline: the literature preset that others are compared to: the best one, or that of a comparison. settings: what
    was found in other settings than the search's. measures: by which the samples of models are measured besides.
    missing_judges: feature network of some of them -> why it cannot be had. noise: by step, how much the objective
    differs between seeds. audit: what early stopping got wrong. num_missing: trials that the confirmation still wants,
    as far as is known now. notes: what else is to be known of the winner.
    """

    name: str
    objective: str
    rows: tuple[Row, ...]
    baseline: Row | None
    settings: tuple[InSetting, ...] = ()
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

    @property
    def winner(self) -> Row | None:
        """What to use. Where other settings were tried, what holds there; else what is best as searched.

        Of the schedules that are shown to be better than the best baseline somewhere and worse nowhere, the one whose
        largest ratio to it, of all settings, is the smallest, if that is below 1; else the best baseline.
        """
        if not any(found.rows for found in self.settings) or self.baseline is None:
            return self.best_as_searched
        worst = {row.record.number: self._worst_ratio(row) for row in self.rows if self._may_hold(row)}
        best = min(worst, key=lambda number: (worst[number], number), default=None)
        if best is None or worst[best] >= 1:
            return self.baseline
        return next(row for row in self.rows if row.record.number == best)

    def _may_hold(self, row: Row) -> bool:
        verdicts = [held.verdict for held in self.held(row)]
        if row is self.baseline or not verdicts or row.ratio is None or row.ratio.above_one:
            return False
        return "worse" not in verdicts and (row.is_better or "better" in verdicts)

    def _worst_ratio(self, row: Row) -> float:
        ratios = [row.ratio, *(held.ratio for held in self.held(row))]
        return max(found.mean for found in ratios if found is not None)

    def held(self, row: Row) -> tuple[Held, ...]:
        """What is known of this schedule in other settings."""
        found = (setting.row_of(row.record.number) for setting in self.settings)
        return tuple(held for held in found if held is not None)

    def by_measures(self, row: Row) -> tuple[ByMeasure, ...]:
        """The row's models compared with the best baseline's by other measures; nothing for the baseline itself."""
        if self.baseline is None or row is self.baseline:
            return ()
        return by_measures(self.measures, row.replicates, self.baseline.replicates)

    def to_measure(self) -> tuple[TrialRecord, ...]:
        """Trials whose samples are to be measured still: of finalists and of the best baseline, on fresh seeds."""
        if not (compared := self._compared_by_measures()):
            return ()
        measures = [measure for measure in self.measures if measure.judge not in self.missing_judges]
        both = compared[0].replicates.keys() & {seed for row in compared[1:] for seed in row.replicates}
        records = [record for row in compared for seed, record in row.replicates.items() if seed in both]
        return tuple(sorted((r for r in records if lacks(r, measures)), key=lambda r: (r.seed, r.number)))

    def _compared_by_measures(self) -> list[Row]:
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
            "measures": {
                str(row.record.number): [by.to_dict() for by in self.by_measures(row)]
                for row in self._compared_by_measures()
                if row is not self.baseline
            },
            "interval": INTERVALS,
            "noise": {str(step): asdict(noise) for step, noise in self.noise.items()},
            "audit": self.audit.to_dict() if self.audit else None,
            "rows": [row.to_dict() for row in self.rows],
        }

    def sentence(self) -> str:
        """The finding in words, no stronger than the numbers."""
        unstable = self.winner.instability if self.winner else ""
        return f"{self._finding()}{' ' if unstable else ''}{unstable}{self._missing_text()}"

    def _finding(self) -> str:
        winner, baseline = self.best_as_searched, self.baseline
        if winner is None or winner.estimate is None:
            return "No schedule is confirmed on fresh seeds yet."
        tied = self._tied_text(winner)
        if baseline is None or self.is_comparison:
            return f"Best mean: {winner.label}.{tied}"
        if not baseline.confirmed:
            return f"Best mean: {winner.label}. No baseline was confirmed, so it is compared to none.{tied}"
        if winner is baseline:
            where = ", as searched" if self.settings else ""
            text = f"No schedule is shown to be better than the best baseline, {baseline.label}{where}."
            return f"{text}{tied}{self._use_text(winner)}"
        seeds = winner.values.keys() & baseline.values.keys()
        lower = sum(winner.values[seed] < baseline.values[seed] for seed in seeds)
        verdict = "better than" if winner.is_better else "not shown to be better than"
        diverged = f", which diverged on {baseline.num_diverged} of them" if baseline.num_diverged else ""
        return (
            f"{winner.label} is {verdict} the best baseline, {baseline.label}: "
            f"{self.objective} {ratio_text(winner)}, lower on {lower} of {len(seeds)} fresh seeds{diverged}"
            f"{self._limits_text(winner)}.{tied}{self._use_text(winner)}"
        )

    def _limits_text(self, row: Row) -> str:
        """Where, and by what, the schedule is not better than the baseline, as the end of a sentence."""
        return self._elsewhere_text(row) + worse_text(self.by_measures(row))

    def _elsewhere_text(self, row: Row) -> str:
        """How the schedule compares to the baseline in other settings, as the end of a sentence; the worst first."""
        texts: list[tuple[int, str]] = []
        for setting in self.settings:
            held = setting.row_of(row.record.number)
            if held is None or held.ratio is None:
                texts.append((3, f"not tried with {setting.setting}"))
            else:
                word, change = _VERDICTS[held.verdict], change_text(held.ratio)
                texts.append(
                    (list(_VERDICTS).index(held.verdict), f"{word} with {setting.setting} ({change})")
                )
        if not texts:
            return ""
        texts.sort(key=lambda entry: entry[0])
        return f"; {'but ' if texts[0][0] == 0 else ''}{', '.join(text for _, text in texts)}"

    def _use_text(self, seen: Row) -> str:
        """What is to be used instead of the best as searched, where that does not hold."""
        winner = self.winner
        if winner is None or winner is seen:
            return ""
        if winner is self.baseline:
            return (
                f" So the answer is {winner.label}: by the mean ratios nothing else holds in every setting."
            )
        return (
            f" So the answer is {winner.label}: {self.objective} {ratio_text(winner)} as searched"
            f"{self._limits_text(winner)}."
        )

    def _missing_text(self) -> str:
        if not self.num_missing or not self.best:
            return ""
        return f" The confirmation is not at its end: {self.num_missing} trials are missing."

    def _tied_text(self, winner: Row) -> str:
        others = [row for row in self.best if row is not winner]
        if not others:
            return ""
        text = f" Tied with it: {', '.join(_tied_label(row, self.baseline is winner) for row in others)}."
        if winner is self.best[0]:
            return text
        reason = (
            "a baseline" if winner.record.purpose is Purpose.BASELINE else f"{winner.num_options} options"
        )
        return f"{text} Of these it is taken as the simplest ({reason})."

    def setting_lines(self) -> list[str]:
        """For each other setting: how schedules compare there, and whether it orders them as the search did."""
        return [line for found in self.settings for line in self._setting_lines(found)]

    def _setting_lines(self, found: InSetting) -> Iterator[str]:
        labels = {row.record.number: row.label for row in self.rows}
        compared = [
            f"{labels[held.record.number]} {_VERDICTS[held.verdict]} ({change_text(held.ratio)})"
            for held in found.rows
            if held.ratio is not None
        ]
        missing = "" if found.is_over else " Trials are missing there."
        yield f"With {found.setting}, against {self._baseline_label}: {', '.join(compared) or 'not tried'}.{missing}"
        order = found.correlation
        if order.value is not None:
            interval = "" if order.low is None else f" [{order.low:.2f}, {order.high:.2f}]"
            yield f"  Rank correlation with the search: {order.value:.2f}{interval}, {order.num_pairs} schedules."

    def measure_lines(self) -> list[str]:
        """How the answer compares by each other measure, and what was not measured."""
        answers = (row for row in (self.best_as_searched, self.winner) if row is not None)
        found = {row.label: self.by_measures(row) for row in answers}
        return [
            *(line for measure in self.measures for line in self._measure_lines(measure, found)),
            *problem_lines([r for row in self._compared_by_measures() for r in row.replicates.values()]),
            *(f"The samples were not measured by {name}: {why}" for name, why in self.missing_judges.items()),
        ]

    def _measure_lines(self, measure: Measure, found: Mapping[str, Sequence[ByMeasure]]) -> Iterator[str]:
        compared = [
            f"{label} {_VERDICTS[by.verdict]} ({by.text})"
            for label, all_by in found.items()
            for by in all_by
            if by.measure == measure
        ]
        if compared:
            yield f"By {measure.text}, against {self._baseline_label}: {', '.join(compared)}."

    @property
    def _baseline_label(self) -> str:
        return self.baseline.label if self.baseline else "no baseline"

    def noise_line(self) -> str | None:
        """How much seeds alone make, in one line."""
        if not self.noise:
            return None
        noise = self.noise[max(self.noise)]
        by_chance = math.exp(noise.factor(0.95) * math.sqrt(2) * noise.sd)
        return (
            f"Noise between seeds: sd {noise.sd:.2f} of ln {self.objective}, {noise.degrees} degrees of freedom. "
            f"On one seed each, equal schedules differ by a factor of up to {by_chance:.2f} (95 %)."
        )

    def stability_line(self) -> str | None:
        """What the winner's seeds leave open, in one line; None without a winner, or where `sentence` has it."""
        if self.winner is None or self.winner.instability:
            return None
        return unseen_text(self.winner.label, len(self.winner.values))


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
    full = max((r.reports[-1].step for r in records if r.state is State.COMPLETE), default=0)
    replicates = _replicates(records, race, own_values)
    contenders = race.contenders if race else None
    confirmation = _Confirmation.of(records, replicates, contenders, known.get(full, SeedValues({})))
    candidates = [record for record in records if record.replicate_of is None]
    baselines = [record for record in candidates if _is_baseline(record, reference)]
    baseline = min(baselines, key=confirmation.order, default=None)
    rows = sorted((confirmation.row(record, baseline) for record in candidates), key=_order)
    num_running = sum(r.purpose is Purpose.CONFIRM and r.state is State.RUNNING for r in records)
    return Leaderboard(
        name=name,
        objective=objective,
        rows=tuple(rows),
        baseline=next((row for row in rows if row.record is baseline), None),
        settings=in_settings(records, race, holds, seeds) if race and holds else (),
        measures=tuple(measures),
        missing_judges=missing_judges or {},
        noise=noises,
        audit=audit_report(records, num_finalists),
        num_missing=len(race.missing) + num_running if race else 0,
    )


def _is_baseline(record: TrialRecord, reference: str | None) -> bool:
    """Whether others may be compared to it."""
    is_finished_preset = record.purpose is Purpose.BASELINE and record.state is State.COMPLETE
    return is_finished_preset and reference in (None, record.preset)


@dataclass(frozen=True)
class _Confirmation:
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
    ) -> "_Confirmation":
        values = {number: _values(own) for number, own in replicates.items()}
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
        num_diverged = _num_diverged(self.values[number])
        return (False, not self._in_race(number), num_diverged, self.estimates[number].mean, number)

    def row(self, record: TrialRecord, baseline: TrialRecord | None) -> Row:
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


def _order(row: Row) -> tuple[Any, ...]:
    """Confirmed rows by rank; then those that got furthest, by value; last those without a result."""
    if row.estimate is not None:
        return (0, row.rank, row.num_diverged, row.estimate.mean, row.record.number)
    if row.record.state in (State.FAILED, State.RUNNING) or row.search_value is None:
        return (2, 0, 0, 0.0, row.record.number)
    return (1, -row.record.reports[-1].step, 0, row.search_value, row.record.number)


def _values(replicates: Mapping[int, TrialRecord]) -> dict[int, float]:
    return {seed: record.reports[-1].objective for seed, record in replicates.items()}


def _num_diverged(values: Mapping[int, float]) -> int:
    return sum(map(has_diverged, values.values()))


def _replicates(
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


def _tied_label(row: Row, with_ratio: bool) -> str:
    text = ratio_text(row) if with_ratio else ""
    return f"{row.label} ({text})" if text else row.label


def ratio_text(row: Row) -> str:
    """How much lower (-) or higher (+) than the baseline, in per cent, with its interval; nothing for itself."""
    return "" if row.ratio is None else change_text(row.ratio)
