"""Where a finding holds: finalists and the best baseline, trained on fresh seeds in other settings than the search's.

A setting is another network, length of training or data set (`holds_at` in the search file). In each of them the best
proposals of the confirmation and the best baseline are trained on the same seeds; seeds are added while a proposal
cannot be told from the baseline there. Of several baselines those that are far behind on the first seed are left out.
Some other trials are trained there on one seed each: how well the values that the search saw order the schedules as
this setting does is a rank correlation over all of them.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from search.evidence.intervals import Estimate, ratio_of
from search.evidence.noise import SeedValues
from search.evidence.race import Standing
from search.evidence.rank_correlation import RankCorrelation, rank_correlation
from search.record import Purpose, State, TrialRecord, has_diverged, ln

# A baseline with more than so many times the distance of another one on the first seed of a setting is left out:
# docs/transfer.md counts how seldom it is the better one.
FAR_BEHIND = 2.0

_WITH_RESULT = (State.COMPLETE, State.DIVERGED)


@dataclass(frozen=True, kw_only=True)
class HoldRules:
    """In which settings, and on how many seeds.

    settings: name -> full budget there, in steps. top: proposals, the best of the confirmation; those that left it come
    last, and may hold where the others do not. baselines: presets, the best of the confirmation, then the best as the
    search saw them; in each setting the best of them there is what the others are compared with. rounds: seeds after
    each round, increasing. spread: other trials, on the first seed alone. shortlist: proposals, the best of the search,
    of which those are confirmed that do best in all settings (`search.evidence.shortlist`); 0: the best of the search.
    """

    settings: Mapping[str, int]
    top: int = 2
    baselines: int = 1
    rounds: tuple[int, ...] = (2, 4)
    spread: int = 5
    shortlist: int = 0

    @property
    def most_trials(self) -> int:
        """Upper bound of the trials in one setting."""
        return (self.top + self.baselines) * self.rounds[-1] + self.spread


class Wanted(NamedTuple):
    """A trial to be started: the schedule of `record` on a fresh seed, the nth of them from 0, in a setting."""

    record: TrialRecord
    nth: int
    setting: str


@dataclass(frozen=True, kw_only=True)
class Held:
    """One schedule in one setting. values: by seed. ratio: to the best baseline there; None for that one itself.

    verdict: "better" or "worse" than it where that is shown, else "tied". left_out: a baseline that was far behind on
    the first seed, and gets no other.
    """

    record: TrialRecord
    values: Mapping[int, float]
    ratio: Estimate | None
    verdict: str
    left_out: bool = False

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "number": self.record.number,
            "preset": self.record.preset,
            "values": {str(seed): value for seed, value in sorted(self.values.items())},
            "ratio": self.ratio.mean if self.ratio else None,
            "ratio_interval": [self.ratio.low, self.ratio.high] if self.ratio else None,
            "verdict": self.verdict,
            "left_out": self.left_out,
        }


@dataclass(frozen=True, kw_only=True)
class InSetting:
    """What was found in one setting.

    rows: the proposals that are compared, and the baselines. baseline: number of the one that is best here; None where
    none has a value yet. correlation: of the values that the search saw with those
    here. is_over: nothing more is to be trained here, as far as is known.
    """

    setting: str
    rows: tuple[Held, ...]
    baseline: int | None
    correlation: RankCorrelation
    is_over: bool

    @cached_property
    def _by_number(self) -> Mapping[int, Held]:
        return {row.record.number: row for row in self.rows}

    def row_of(self, number: int) -> Held | None:
        """That of a trial's schedule."""
        return self._by_number.get(number)

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "setting": self.setting,
            "baseline": self.baseline,
            "rows": [row.to_dict() for row in self.rows],
            "rank_correlation": self.correlation.value,
            "rank_correlation_interval": [self.correlation.low, self.correlation.high],
            "rank_correlation_trials": self.correlation.num_pairs,
            "is_over": self.is_over,
        }


def wanted(
    records: Iterable[TrialRecord], race: Standing, rules: HoldRules, seeds: Sequence[int]
) -> tuple[Wanted, ...]:
    """What is to be trained now, once the confirmation is over; the most urgent first."""
    records = list(records)
    chosen = _Chosen.of(records, race, rules)
    if chosen is None:
        return ()
    return tuple(
        found
        for setting in rules.settings
        for found in _Trials.of(records, setting).wanted(chosen, rules, seeds)
    )


def in_settings(
    records: Iterable[TrialRecord], race: Standing, rules: HoldRules, seeds: Sequence[int]
) -> tuple[InSetting, ...]:
    """What is known in each setting; nothing before the confirmation has an answer."""
    records = list(records)
    chosen = _Chosen.of(records, race, rules)
    if chosen is None:
        return ()
    found = (_Trials.of(records, setting).summary(chosen, rules, seeds) for setting in rules.settings)
    return tuple(found)


@dataclass(frozen=True)
class _Chosen:
    """Whose schedules are trained in other settings. spread: on one seed.

    num_comparisons: that hold together; each may be made after each round, and ends where it decides.
    """

    baselines: tuple[TrialRecord, ...]
    proposals: tuple[TrialRecord, ...]
    spread: tuple[TrialRecord, ...]
    num_comparisons: int

    @classmethod
    def of(cls, records: Sequence[TrialRecord], race: Standing, rules: HoldRules) -> "_Chosen | None":
        """None before the confirmation has an answer, and where it has nothing to compare."""
        means = _confirmed_means(records)
        confirmed = [r for r in records if r.number in race.finalists and r.number in means]
        in_order = sorted(
            confirmed, key=lambda r: (r.number not in race.contenders, means[r.number], r.number)
        )
        presets = [r for r in records if r.purpose is Purpose.BASELINE and r.state is State.COMPLETE]
        as_seen = sorted((r for r in presets if r not in in_order), key=lambda r: (r.objective, r.number))
        confirmed_presets = [r for r in in_order if r.purpose is Purpose.BASELINE]
        baselines = tuple([*confirmed_presets, *as_seen][: rules.baselines]) if confirmed_presets else ()
        proposals = tuple(r for r in in_order if r.purpose is Purpose.SEARCH)[: rules.top]
        if not baselines or not proposals or not race.is_decided:
            return None
        compared = (*baselines, *proposals)
        others = [
            r for r in records if r.replicate_of is None and r.state is State.COMPLETE and r not in compared
        ]
        # Whichever baseline is the best there, what is compared with it is among these pairs.
        num_pairs = len(proposals) * len(baselines) + math.comb(len(baselines), 2)
        num_comparisons = num_pairs * len(rules.settings) * len(rules.rounds)
        return cls(baselines, proposals, tuple(_evenly(others, rules.spread)), num_comparisons)

    @property
    def compared(self) -> tuple[TrialRecord, ...]:
        return (*self.baselines, *self.proposals)


def _confirmed_means(records: Iterable[TrialRecord]) -> dict[int, tuple[int, float]]:
    """Finalist -> (on how many fresh seeds it diverged, mean of ln(objective)), as searched."""
    found: defaultdict[int, list[float]] = defaultdict(list)
    for record in records:
        if record.replicate_of is not None and record.is_comparable and record.state in _WITH_RESULT:
            assert record.objective is not None
            found[record.replicate_of].append(record.objective)
    return {
        number: (sum(map(has_diverged, own)), math.fsum(map(ln, own)) / len(own))
        for number, own in found.items()
    }


def _evenly(records: Sequence[TrialRecord], count: int) -> Iterator[TrialRecord]:
    """So many of them, evenly over their order by what the search saw: from the best to the worst."""
    in_order = sorted(records, key=lambda record: (record.objective, record.number))
    count = min(count, len(in_order))
    for index in range(count):
        yield in_order[round(index * (len(in_order) - 1) / max(1, count - 1))]


@dataclass(frozen=True)
class _Trials:
    """The trials of one setting.

    begun, running: each by (number of its schedule's trial, seed). values: by both, of those with a result.
    """

    setting: str
    begun: Collection[tuple[int, int]]
    running: Collection[tuple[int, int]]
    values: Mapping[int, Mapping[int, float]]

    @classmethod
    def of(cls, records: Iterable[TrialRecord], setting: str) -> "_Trials":
        begun, running = set(), set()
        values: defaultdict[int, dict[int, float]] = defaultdict(dict)
        for record in records:
            if record.setting != setting or record.replicate_of is None or record.purpose is not Purpose.HOLD:
                continue
            begun.add((record.replicate_of, record.seed))
            if record.state is State.RUNNING:
                running.add((record.replicate_of, record.seed))
            elif record.state in _WITH_RESULT and record.objective is not None:
                values[record.replicate_of][record.seed] = record.objective
        return cls(setting, begun, running, values)

    def wanted(self, chosen: _Chosen, rules: HoldRules, seeds: Sequence[int]) -> list[Wanted]:
        """What is to be trained now: of the round that is not over, and of the spread."""
        spread = self._missing(chosen.spread, seeds[:1])
        rivals = self._rivals(chosen, seeds)
        are_known = len(rivals) == 1 or not (
            self._missing(rivals, seeds[:1]) or self._any_runs(rivals, seeds[:1])
        )
        racing: Sequence[TrialRecord] = (*rivals, *chosen.proposals)
        for size in rules.rounds:
            missing = self._missing(racing, seeds[:size])
            if not are_known:
                missing = [found for found in missing if found.nth == 0 or found.record not in rivals]
            if missing or self._any_runs(racing, seeds[:size]):
                return [*missing, *spread]
            baseline = self._best(rivals)
            undecided = [
                r for r in racing if r not in rivals and self._verdict(r, baseline, chosen) == "tied"
            ]
            if not undecided:
                break
            racing = (*rivals, *undecided)
        return spread

    def _rivals(self, chosen: _Chosen, seeds: Sequence[int]) -> tuple[TrialRecord, ...]:
        """The baselines that may be the best here, as far as the first seed is known; all where none has a value."""
        ended = {number for number, seed in set(self.begun) - set(self.running) if seed == seeds[0]}
        first = {
            r.number: self.values.get(r.number, {}).get(seeds[0], math.inf)  # inf: its trial has failed
            for r in chosen.baselines
            if r.number in ended
        }
        best = min(first.values(), default=math.inf)
        return tuple(r for r in chosen.baselines if first.get(r.number, 0.0) <= FAR_BEHIND * best)

    def _missing(self, records: Iterable[TrialRecord], seeds: Sequence[int]) -> list[Wanted]:
        records = list(records)
        return [
            Wanted(record, nth, self.setting)
            for nth, seed in enumerate(seeds)
            for record in records
            if (record.number, seed) not in self.begun
        ]

    def _any_runs(self, records: Iterable[TrialRecord], seeds: Collection[int]) -> bool:
        return any((record.number, seed) in self.running for record in records for seed in seeds)

    def summary(self, chosen: _Chosen, rules: HoldRules, seeds: Sequence[int]) -> InSetting:
        rivals = self._rivals(chosen, seeds)
        baseline = self._best(rivals)
        measured = [r for r in (*chosen.compared, *chosen.spread) if self.values.get(r.number)]
        pairs = [(r.objective, _mean_ln(self.values[r.number])) for r in measured if r.objective is not None]
        return InSetting(
            setting=self.setting,
            rows=tuple(
                Held(
                    record=r,
                    values=self.values[r.number],
                    ratio=self._ratio(r, baseline, chosen),
                    verdict=self._verdict(r, baseline, chosen),
                    left_out=r in chosen.baselines and r not in rivals,
                )
                for r in chosen.compared
                if self.values.get(r.number)
            ),
            baseline=None if baseline is None else baseline.number,
            correlation=rank_correlation(pairs),
            is_over=not self.running and not self.wanted(chosen, rules, seeds),
        )

    def _best(self, baselines: Sequence[TrialRecord]) -> TrialRecord | None:
        """The best of them here, on the seeds that all of them have; None before there is one."""
        own = [self.values.get(record.number, {}) for record in baselines]
        both = set.intersection(*(set(values) for values in own))
        if not both:
            return None

        def place(record: TrialRecord) -> tuple[int, float]:
            values = {seed: self.values[record.number][seed] for seed in both}
            return sum(map(has_diverged, values.values())), _mean_ln(values)

        return min(baselines, key=place)

    def _verdict(self, record: TrialRecord, baseline: TrialRecord | None, chosen: _Chosen) -> str:
        against = self._ratio(record, baseline, chosen)
        if baseline is None or against is None:
            return "tied"
        own, other = (self._num_diverged(r.number) for r in (record, baseline))
        if own != other:
            return "worse" if own > other else "better"
        return "better" if against.below_one else "worse" if against.above_one else "tied"

    def _ratio(self, record: TrialRecord, baseline: TrialRecord | None, chosen: _Chosen) -> Estimate | None:
        if baseline is None or record is baseline:
            return None
        compared = {r.number: self.values.get(r.number, {}) for r in chosen.compared}
        # Few are compared here, so that baselines and proposals are taken as of one kind.
        sound = {number: own for number, own in compared.items() if not any(map(has_diverged, own.values()))}
        noise = SeedValues(sound).noise_of_ratio
        return ratio_of(compared, record.number, baseline.number, noise, chosen.num_comparisons)

    def _num_diverged(self, number: int) -> int:
        return sum(map(has_diverged, self.values.get(number, {}).values()))


def _mean_ln(values: Mapping[int, float]) -> float:
    return math.fsum(map(ln, values.values())) / len(values)
