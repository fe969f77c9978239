"""Confirmation as a race: fresh seeds are added only to finalists that may still be the best.

Every finalist of a round is trained on the same seeds. After a round, but the last, those go on that cannot be told
from the leader of their kind: proposals race against proposals, baselines against baselines, so that at the end the
best of both stand on the same seeds. The test is that of the leaderboard (`intervals.ratio`), for each by itself:
a finalist that leaves by mistake costs a little of the result, never its honesty. What a round decides follows from
the values of its seeds alone; a new driver decides the same again. Who has been trained on all seeds stays, also when
a later race of the same search has other finalists.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from search.evidence.intervals import ratio
from search.evidence.noise import SeedNoise, noise_at_rungs
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
        """Upper bound for the trials of the whole race, whoever leaves it."""
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


@dataclass(frozen=True)
class Standing:
    """How the race stands.

    finalists: all that are trained on the seeds of the first round. contenders: those that are still in it.
    missing: (finalist, index of its seed) to be trained now, the most urgent first. ahead: likewise for slots that
    would stand empty while a round is not decided: more seeds of those that lead it. is_decided: whether the first
    round is, so that something may be said. is_over: whether the last one is.
    """

    finalists: frozenset[int]
    contenders: frozenset[int]
    missing: tuple[tuple[TrialRecord, int], ...]
    ahead: tuple[tuple[TrialRecord, int], ...]
    is_decided: bool
    is_over: bool


def choose(records: Iterable[TrialRecord], purpose: Purpose, count: int) -> list[TrialRecord]:
    """The `count` best finished trials of one purpose by the value that the search saw."""
    finished = [
        record
        for record in records
        if record.state is State.COMPLETE and record.purpose is purpose and record.objective is not None
    ]
    return sorted(finished, key=lambda record: (record.objective, record.number))[:count]


def finalists(records: Iterable[TrialRecord], rules: RaceRules) -> tuple[TrialRecord, ...]:
    """The best baselines, the best finished proposals, and those that were in an earlier race to its end.

    Without these, a search that is extended would forget its winner for luckier values.
    """
    records = list(records)
    floor = _noise(records, ())
    baselines = choose(records, Purpose.BASELINE, rules.baselines)
    near = [record for record in baselines if not _surely_worse(record, baselines[0], floor)]
    proposals = choose(records, Purpose.SEARCH, rules.top)
    seeds_of = _seeds_of(records)
    raced = [r for r in records if r.purpose is Purpose.SEARCH and len(seeds_of[r.number]) >= rules.rounds[0]]
    most = max((len(seeds_of[record.number]) for record in raced), default=0)
    winners = [r for r in raced if len(seeds_of[r.number]) == most and r not in proposals]
    return (*near, *proposals, *winners)


def _surely_worse(record: TrialRecord, best: TrialRecord, noise: SeedNoise | None) -> bool:
    """Whether one value each, on the same seed, tells the two apart."""
    if noise is None or record is best:
        return False
    assert record.objective is not None and best.objective is not None
    margin = noise.factor(0.95) * math.sqrt(2) * noise.sd
    return ln(record.objective) - ln(best.objective) > margin


def _seeds_of(records: Iterable[TrialRecord]) -> Mapping[int, set[int]]:
    """Trial number -> the seeds on which it was confirmed."""
    found: defaultdict[int, set[int]] = defaultdict(set)
    for record in records:
        if record.purpose is Purpose.CONFIRM and record.state in (State.COMPLETE, State.DIVERGED):
            assert record.replicate_of is not None
            found[record.replicate_of].add(record.seed)
    return found


def _noise(records: Iterable[TrialRecord], seeds: Collection[int]) -> SeedNoise | None:
    """The noise at the full budget: of the noise floor, and of what the race has on these seeds."""
    noises = noise_at_rungs(r for r in records if r.purpose is not Purpose.CONFIRM or r.seed in seeds)
    return noises[max(noises)] if noises else None


def standing(records: Iterable[TrialRecord], rules: RaceRules, seeds: Sequence[int]) -> Standing:
    """Where the race is, from all trials of the search. seeds: one training seed for each of the last round."""
    records = list(records)
    chosen = finalists(records, rules)
    runs = [record for record in records if record.replicate_of is not None]
    have = {(record.replicate_of, record.seed) for record in runs}
    values = {
        (record.replicate_of, record.seed): record.objective
        for record in runs
        if record.state in (State.COMPLETE, State.DIVERGED) and record.objective is not None
    }
    running = {(record.replicate_of, record.seed) for record in runs if record.state is State.RUNNING}
    begun = sum(record.purpose is Purpose.CONFIRM for record in runs)
    all_of_them = contenders = frozenset(record.number for record in chosen)
    is_decided = False

    def is_through(number: int) -> bool:
        """Whether it has been trained on all seeds, and well."""
        return not any(
            has_diverged(values.get((number, seed), math.inf)) for seed in seeds[: rules.rounds[-1]]
        )

    for size in rules.rounds:
        racing = [record for record in chosen if record.number in contenders]
        missing = [
            (record, index)
            for index in range(size)
            for record in racing
            if (record.number, seeds[index]) not in have
        ]
        if missing:
            if rules.max_trials is not None and begun + len(missing) > rules.max_trials:
                return Standing(all_of_them, contenders, (), (), is_decided, is_over=is_decided)
            return Standing(all_of_them, contenders, tuple(missing), (), is_decided, is_over=False)
        used = seeds[:size]
        found = {n: {seed: values[n, seed] for seed in used if (n, seed) in values} for n in contenders}
        kinds = [
            [r.number for r in racing if (r.purpose is Purpose.BASELINE) is baseline and found[r.number]]
            for baseline in (True, False)
        ]
        # A round is not decided before all of it is there. Those that lead it will hardly leave the race.
        if running & {(n, seed) for n in contenders for seed in used}:
            ahead: list[tuple[TrialRecord, int]] = []
            if rules.max_trials is None:
                leaders = {_leader(kind, found) for kind in kinds if kind}
                ahead = [
                    (record, index)
                    for index in range(size, rules.rounds[-1])
                    for record in racing
                    if record.number in leaders and (record.number, seeds[index]) not in have
                ]
            return Standing(all_of_them, contenders, (), tuple(ahead), is_decided, is_over=False)
        is_decided = True
        if size != rules.rounds[-1]:
            noise = _noise(records, used)
            staying = {number for kind in kinds for number in _in_contention(kind, found, noise)}
            contenders = frozenset(n for n in contenders if n in staying or is_through(n))
    return Standing(all_of_them, contenders, (), (), is_decided=True, is_over=True)


def _mean_ln(objectives: Iterable[float]) -> float:
    logs = [ln(objective) for objective in objectives]
    return math.fsum(logs) / len(logs)


def _leader(kind: Sequence[int], found: Mapping[int, Mapping[int, float]]) -> int:
    """The best of one kind so far."""
    return min(kind, key=lambda number: (_mean_ln(found[number].values()), number))


def _in_contention(
    kind: Sequence[int], found: Mapping[int, Mapping[int, float]], noise: SeedNoise | None
) -> Sequence[int]:
    """Those of one kind that are not shown to be worse than the best of it."""
    if not kind:
        return kind
    leader = _leader(kind, found)
    diverged = {number: sum(map(has_diverged, found[number].values())) for number in kind}

    def is_worse(number: int) -> bool:
        against = ratio(found[number], found[leader], noise)
        return diverged[number] > diverged[leader] or (against is not None and against.above_one)

    return [number for number in kind if number == leader or not is_worse(number)]
