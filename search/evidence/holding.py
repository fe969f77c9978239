"""Where a finding holds: finalists and the best baseline, trained on fresh seeds in other settings than the search's.

A setting is another network, length of training or data set (`holds_at` in the search file). In each of them the best
proposals of the confirmation and the best baseline are trained on the same seeds; seeds are added while a proposal
cannot be told from the baseline there. Of several baselines those that are far behind on the first seed are left out.
Some other trials are trained there on one seed each: how well the values that the search saw order the schedules as
this setting does is a rank correlation over all of them.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
    none has a value yet. failed: numbers of those that should be among the rows, but whose trials all failed.
    correlation: of the values that the search saw with those here. is_compared: the proposals are compared, as far as
    they are to be. is_over: nothing more is to be trained here, as far as is known.
    """

    setting: str
    rows: tuple[Held, ...]
    baseline: int | None
    failed: tuple[int, ...]
    correlation: RankCorrelation
    is_compared: bool
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
            "failed": list(self.failed),
            "rank_correlation": self.correlation.value,
            "rank_correlation_interval": [self.correlation.low, self.correlation.high],
            "rank_correlation_trials": self.correlation.num_pairs,
            "is_compared": self.is_compared,
            "is_over": self.is_over,
        }


def wanted(
    records: Iterable[TrialRecord], race: Standing, rules: HoldRules, seeds: Sequence[int]
) -> tuple[Wanted, ...]:
    """What is to be trained now, once the confirmation is over; the most urgent first."""
    there = _in_all(list(records), race, rules)
    return tuple(found for trials in there for found in trials.wanted(rules, seeds))


def in_settings(
    records: Iterable[TrialRecord], race: Standing, rules: HoldRules, seeds: Sequence[int]
) -> tuple[InSetting, ...]:
    """What is known in each setting; nothing before the confirmation has an answer."""
    there = _in_all(list(records), race, rules)
    return tuple(trials.summary(rules, seeds) for trials in there)


@dataclass(frozen=True)
class _Chosen:
    """Whose schedules are trained in other settings. proposals: the confirmed, the best first. spread: on one seed."""

    baselines: tuple[TrialRecord, ...]
    proposals: tuple[TrialRecord, ...]
    spread: tuple[TrialRecord, ...]

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
        proposals = tuple(r for r in in_order if r.purpose is Purpose.SEARCH)
        if not baselines or not proposals or not race.is_decided:
            return None
        compared = (*baselines, *proposals[: rules.top])
        others = [
            r for r in records if r.replicate_of is None and r.state is State.COMPLETE and r not in compared
        ]
        return cls(baselines, proposals, tuple(_evenly(others, rules.spread)))


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

    baselines, proposals: that are compared here: the best, and what was when more were asked for. spread: on one seed.
    begun, running: each by (number of its schedule's trial, seed). values: by both, of those with a result.
    num_comparisons: that hold together.
    """

    setting: str
    baselines: tuple[TrialRecord, ...]
    proposals: tuple[TrialRecord, ...]
    spread: tuple[TrialRecord, ...]
    begun: Collection[tuple[int, int]]
    running: Collection[tuple[int, int]]
    values: Mapping[int, Mapping[int, float]]
    num_comparisons: int = 0

    @classmethod
    def of(cls, records: Iterable[TrialRecord], setting: str, chosen: _Chosen, rules: HoldRules) -> "_Trials":
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
        num_seeds = Counter(number for number, _ in begun)
        proposals = tuple(
            r for nth, r in enumerate(chosen.proposals) if nth < rules.top or num_seeds[r.number] > 1
        )
        return cls(setting, chosen.baselines, proposals, chosen.spread, begun, running, values)

    @property
    def compared(self) -> tuple[TrialRecord, ...]:
        return (*self.baselines, *self.proposals)

    @property
    def num_pairs(self) -> int:
        """Whichever baseline is the best here, what is compared with it is among these pairs."""
        return len(self.proposals) * len(self.baselines) + math.comb(len(self.baselines), 2)

    def num_looks(self, rules: HoldRules) -> int:
        """After how many rounds is compared, one of more seeds that was asked for before included."""
        most = max(Counter(number for number, _ in self.begun).values(), default=0)
        return len(rules.rounds) + (most > rules.rounds[-1])

    def wanted(self, rules: HoldRules, seeds: Sequence[int]) -> list[Wanted]:
        """What is to be trained now: of the round that is not over, and of the spread."""
        return [*self._round(rules, seeds)[0], *self._missing(self.spread, seeds[:1])]

    def _round(self, rules: HoldRules, seeds: Sequence[int]) -> tuple[list[Wanted], bool]:
        """What is to be trained now for the comparison, and whether that is over."""
        rivals = self._rivals(seeds)
        are_known = len(rivals) == 1 or not (
            self._missing(rivals, seeds[:1]) or self._any_runs(rivals, seeds[:1])
        )
        racing: Sequence[TrialRecord] = (*rivals, *self.proposals)
        for size in rules.rounds:
            missing = self._missing(racing, seeds[:size])
            if not are_known:
                missing = [found for found in missing if found.nth == 0 or found.record not in rivals]
            if missing or self._any_runs(racing, seeds[:size]):
                return missing, False
            baseline = self._best(rivals)
            undecided = [r for r in racing if r not in rivals and self._verdict(r, baseline) == "tied"]
            if not undecided:
                break
            racing = (*rivals, *undecided)
        return [], True

    def _rivals(self, seeds: Sequence[int]) -> tuple[TrialRecord, ...]:
        """The baselines that may be the best here, as far as the first seed is known; all where none has a value."""
        ended = {number for number, seed in set(self.begun) - set(self.running) if seed == seeds[0]}
        first = {
            r.number: self.values.get(r.number, {}).get(seeds[0], math.inf)  # inf: its trial has failed
            for r in self.baselines
            if r.number in ended
        }
        best = min(first.values(), default=math.inf)
        return tuple(r for r in self.baselines if first.get(r.number, 0.0) <= FAR_BEHIND * best)

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

    def summary(self, rules: HoldRules, seeds: Sequence[int]) -> InSetting:
        rivals = self._rivals(seeds)
        baseline = self._best(rivals)
        measured = [r for r in (*self.compared, *self.spread) if self.values.get(r.number)]
        pairs = [(r.objective, _mean_ln(self.values[r.number])) for r in measured if r.objective is not None]
        begun, running = ({number for number, _ in which} for which in (self.begun, self.running))
        missing, is_compared = self._round(rules, seeds)
        return InSetting(
            setting=self.setting,
            rows=tuple(
                Held(
                    record=r,
                    values=self.values[r.number],
                    ratio=self._ratio(r, baseline),
                    verdict=self._verdict(r, baseline),
                    left_out=r in self.baselines and r not in rivals,
                )
                for r in self.compared
                if self.values.get(r.number)
            ),
            baseline=None if baseline is None else baseline.number,
            failed=tuple(
                r.number
                for r in self.compared
                if r.number in begun - running and not self.values.get(r.number)
            ),
            correlation=rank_correlation(pairs),
            is_compared=is_compared,
            is_over=not (self.running or missing or self._missing(self.spread, seeds[:1])),
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

    def _verdict(self, record: TrialRecord, baseline: TrialRecord | None) -> str:
        against = self._ratio(record, baseline)
        if baseline is None or against is None:
            return "tied"
        both = self.values[record.number].keys() & self.values[baseline.number].keys()
        own, other = (
            sum(has_diverged(self.values[r.number][seed]) for seed in both) for r in (record, baseline)
        )
        if own > other:  # if fewer, the interval has to show it, as it has for the search's own setting
            return "worse"
        return "better" if against.below_one else "worse" if against.above_one else "tied"

    def _ratio(self, record: TrialRecord, baseline: TrialRecord | None) -> Estimate | None:
        if baseline is None or record is baseline:
            return None
        compared = {r.number: self.values.get(r.number, {}) for r in self.compared}
        # Few are compared here, so that baselines and proposals are taken as of one kind.
        sound = {number: own for number, own in compared.items() if not any(map(has_diverged, own.values()))}
        noise = SeedValues(sound).noise_of_ratio
        return ratio_of(compared, record.number, baseline.number, noise, self.num_comparisons)


def _in_all(records: Sequence[TrialRecord], race: Standing, rules: HoldRules) -> "list[_Trials]":
    """What is there in each setting; nothing before the confirmation has an answer."""
    chosen = _Chosen.of(records, race, rules)
    if chosen is None:
        return []
    there = [_Trials.of(records, setting, chosen, rules) for setting in rules.settings]
    # Each may be made after each round, and ends where it decides.
    num_comparisons = sum(trials.num_pairs * trials.num_looks(rules) for trials in there)
    return [replace(trials, num_comparisons=num_comparisons) for trials in there]


def _mean_ln(values: Mapping[int, float]) -> float:
    return math.fsum(map(ln, values.values())) / len(values)
