"""Confirmation as a race: fresh seeds are added only to finalists that may still be the best.

Every finalist of a round is trained on the same seeds. After a round, but the last, those go on that cannot be told
from the leader of their kind: proposals race against proposals, baselines against baselines, so that at the end the
best of both stand on the same seeds. The test is that of the leaderboard (`intervals.ratio`), for each by itself:
a finalist that leaves by mistake costs a little of the result, never its honesty. What a round decides follows from
the values of its seeds alone; a new driver decides the same again. A finalist that has been trained on all seeds
stays, also when a later race of the same search has other finalists.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from search.evidence.intervals import ratio_of
from search.evidence.noise import SeedNoise, SeedValues, values_at_end
from search.record import Purpose, State, TrialRecord, has_diverged, ln


@dataclass(frozen=True, kw_only=True)
class RaceRules:
    """How finalists are chosen and raced.

    top: how many of the best finished proposals. baselines: how many of the best baselines besides, at most: those
    that the noise tells from the best of them are left out. rounds: seeds per finalist after each round, increasing.
    max_trials: the race ends before a round that would exceed it.
    """

    top: int = 4
    baselines: int = 2
    rounds: tuple[int, ...] = (2, 4, 8)
    max_trials: int | None = None

    def __post_init__(self) -> None:
        pairs = itertools.pairwise((1, *self.rounds))
        if not self.rounds or not all(before < after for before, after in pairs):
            raise ValueError(f"`rounds` must increase and begin with at least 2, but got {list(self.rounds)}")

    @property
    def most_trials(self) -> int:
        """Upper bound for the trials of the whole race, whichever finalists leave it."""
        most = (self.top + self.baselines) * self.rounds[-1]
        return most if self.max_trials is None else min(most, self.max_trials)

    @property
    def first_trials(self) -> int:
        """Upper bound for the trials of the first round."""
        return (self.top + self.baselines) * self.rounds[0]

    def most_turns(self, num_slots: int) -> int:
        """Upper bound for how often the slots are filled anew: a round begins when the one before it has ended."""
        sizes = [
            (self.top + self.baselines) * (size - before)
            for before, size in itertools.pairwise((0, *self.rounds))
        ]
        return sum(math.ceil(size / num_slots) for size in sizes)


Replicate = tuple[TrialRecord, int]  # a finalist, the index of a seed on which it is trained again
Objectives = Mapping[int, Mapping[int, float]]  # finalist -> {seed: objective at the full budget}

_WITH_RESULT = (State.COMPLETE, State.DIVERGED)


@dataclass(frozen=True)
class Standing:
    """How the race stands.

    finalists: all that are trained on the seeds of the first round. contenders: those that are still in it.
    missing: what is to be trained now, the most urgent first. ahead: likewise for slots that would stand empty while
    a round is not decided: more seeds of those that lead it. is_decided: whether the first round is, so that
    something may be said.
    """

    finalists: frozenset[int]
    contenders: frozenset[int]
    missing: tuple[Replicate, ...] = ()
    ahead: tuple[Replicate, ...] = ()
    is_decided: bool = False


def choose(records: Iterable[TrialRecord], purpose: Purpose, count: int) -> list[TrialRecord]:
    """The `count` best finished trials of one purpose by the value that the search saw."""
    finished = [
        record
        for record in records
        if record.state is State.COMPLETE and record.purpose is purpose and record.objective is not None
    ]
    return sorted(finished, key=lambda record: (record.objective, record.number))[:count]


def finalists(
    records: Iterable[TrialRecord], rules: RaceRules, shortlist: Sequence[int] = ()
) -> tuple[TrialRecord, ...]:
    """The best baselines, the best finished proposals, and those that were in an earlier race to its end.

    shortlist: numbers of proposals that come before all others, the best first (`search.evidence.shortlist`).

    Without these, a search that is extended would forget its winner for luckier values.
    """
    records = list(records)
    floor = values_at_end(records, ()).noise
    baselines = choose(records, Purpose.BASELINE, rules.baselines)
    near = [record for record in baselines if not _surely_worse(record, baselines[0], floor)]
    by_value = choose(records, Purpose.SEARCH, len(records))
    place = {number: nth for nth, number in enumerate(shortlist)}
    proposals = sorted(by_value, key=lambda record: place.get(record.number, len(place)))[: rules.top]
    seeds_of = _seeds_of(records)
    searched = [record for record in records if record.purpose is Purpose.SEARCH]
    most = max([rules.rounds[0], *(len(seeds_of[record.number]) for record in searched)])
    winners = [r for r in searched if len(seeds_of[r.number]) == most and r not in proposals]
    return (*near, *proposals, *winners)


def _surely_worse(record: TrialRecord, best: TrialRecord, noise: SeedNoise | None) -> bool:
    """Whether one value each, on the same seed, tells the two apart."""
    if noise is None:
        return False
    assert record.objective is not None and best.objective is not None
    margin = noise.factor(0.95) * math.sqrt(2) * noise.sd
    return ln(record.objective) - ln(best.objective) > margin


def _seeds_of(records: Iterable[TrialRecord]) -> Mapping[int, set[int]]:
    """Trial number -> the seeds on which it was confirmed."""
    found: defaultdict[int, set[int]] = defaultdict(set)
    for record in records:
        if record.purpose is Purpose.CONFIRM and record.state in _WITH_RESULT:
            assert record.replicate_of is not None
            found[record.replicate_of].add(record.seed)
    return found


def standing(
    records: Iterable[TrialRecord], rules: RaceRules, seeds: Sequence[int], shortlist: Sequence[int] = ()
) -> Standing:
    """Where the race is, from all trials of the search. seeds: one training seed for each of the last round.

    shortlist: as `finalists` has it.

    Round by round: what is missing of it is to be trained, if the race may be so long. While some of it runs, nothing
    is decided. Then the finalists that may still be the best go on.
    """
    records = list(records)
    seeds = seeds[: rules.rounds[-1]]
    replicates = _Replicates.of(records)
    racing = finalists(records, rules, shortlist)
    entered = _numbers(racing)
    for size in rules.rounds:
        now = Standing(entered, _numbers(racing), is_decided=size > rules.rounds[0])
        used = seeds[:size]
        missing = replicates.missing(racing, used)
        if missing:
            return replace(now, missing=missing) if _may_begin(missing, records, rules) else now
        kinds = replicates.objectives_by_kind(racing, used)
        if replicates.any_runs(racing, used):
            return replace(now, ahead=replicates.missing(_ahead(racing, kinds, rules), seeds))
        if size < rules.rounds[-1]:
            known = SeedValues(values_at_end(records, used).objectives)
            staying = {number for kind in kinds for number in _in_contention(kind, known)}
            racing = tuple(r for r in racing if r.number in staying or replicates.went_well(r, seeds))
    return Standing(entered, _numbers(racing), is_decided=True)


@dataclass(frozen=True)
class _Replicates:
    """The trials that repeat another one, each by (number of that one, seed).

    begun: all of them. running: those that run. objectives: of those that ended with a result.
    """

    begun: Set[tuple[int, int]]
    running: Set[tuple[int, int]]
    objectives: Mapping[tuple[int, int], float]

    @classmethod
    def of(cls, records: Iterable[TrialRecord]) -> "_Replicates":
        comparable = (r for r in records if r.is_comparable)
        keyed = [((r.replicate_of, r.seed), r) for r in comparable if r.replicate_of is not None]
        return cls(
            begun={key for key, _ in keyed},
            running={key for key, record in keyed if record.state is State.RUNNING},
            objectives={
                key: record.objective
                for key, record in keyed
                if record.state in _WITH_RESULT and record.objective is not None
            },
        )

    def missing(self, racing: Iterable[TrialRecord], seeds: Sequence[int]) -> tuple[Replicate, ...]:
        """What has not begun, seed by seed."""
        pairs = itertools.product(enumerate(seeds), racing)
        return tuple(
            (record, index) for (index, seed), record in pairs if (record.number, seed) not in self.begun
        )

    def any_runs(self, racing: Iterable[TrialRecord], seeds: Collection[int]) -> bool:
        return any((record.number, seed) in self.running for record in racing for seed in seeds)

    def objectives_by_kind(self, racing: Iterable[TrialRecord], seeds: Collection[int]) -> list[Objectives]:
        """Of the baselines and of the proposals, the objectives of each that has one."""
        kinds: defaultdict[Purpose, dict[int, Mapping[int, float]]] = defaultdict(dict)
        for record in racing:
            own = self._objectives_of(record, seeds)
            if own:
                kinds[record.purpose][record.number] = own
        return list(kinds.values())

    def went_well(self, record: TrialRecord, seeds: Collection[int]) -> bool:
        """Whether the finalist was trained on all these seeds and diverged on none."""
        own = self._objectives_of(record, seeds)
        return own.keys() == set(seeds) and not any(map(has_diverged, own.values()))

    def _objectives_of(self, record: TrialRecord, seeds: Iterable[int]) -> dict[int, float]:
        found = {seed: self.objectives.get((record.number, seed)) for seed in seeds}
        return {seed: objective for seed, objective in found.items() if objective is not None}


def _numbers(records: Iterable[TrialRecord]) -> frozenset[int]:
    return frozenset(record.number for record in records)


def _may_begin(missing: Collection[Replicate], records: Iterable[TrialRecord], rules: RaceRules) -> bool:
    """Whether the budget of the race is enough for its trials so far and for the missing ones."""
    num_begun = sum(record.purpose is Purpose.CONFIRM for record in records)
    return rules.max_trials is None or num_begun + len(missing) <= rules.max_trials


def _ahead(racing: Iterable[TrialRecord], kinds: Iterable[Objectives], rules: RaceRules) -> list[TrialRecord]:
    """The finalists that free slots go on with: the leaders, which will hardly leave; none if trials are limited."""
    leaders = {_leader(kind) for kind in kinds} if rules.max_trials is None else set()
    return [record for record in racing if record.number in leaders]


def _leader(kind: Objectives) -> int:
    """The best of one kind so far."""
    return min(kind, key=lambda number: (_mean_ln(kind[number].values()), number))


def _mean_ln(objectives: Collection[float]) -> float:
    return math.fsum(map(ln, objectives)) / len(objectives)


def _in_contention(kind: Objectives, known: SeedValues) -> list[int]:
    """Those of one kind that are not shown to be worse than the best of it, by the noise of all that is known."""
    leader = _leader(kind)
    diverged = {number: sum(map(has_diverged, own.values())) for number, own in kind.items()}

    def is_worse(number: int) -> bool:
        against = ratio_of(kind, number, leader, known.noise_of_ratio)
        return diverged[number] > diverged[leader] or (against is not None and against.above_one)

    return [number for number in kind if not is_worse(number)]
