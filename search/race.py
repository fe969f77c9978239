"""Confirmation as a race: fresh seeds are added only to finalists that may still be the best.

Every finalist of a round is trained on the same seeds. After a round those go on that cannot be told from the
leader of their kind: proposals race against proposals, baselines against baselines, so that at the end the
best of both stand on the same seeds. What a round decides follows from the values of its seeds alone; a new
driver decides the same again.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from search.noise_floor import SeedNoise, ln, noise_at_rungs, pooled
from search.record import Stage, State, TrialRecord

# Two-sided, for leaving the race. A finalist that leaves by mistake costs a little of the result, never its honesty.
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class RaceRules:
    """How finalists are chosen and raced.

    top: how many of the best finished proposals. baselines: how many of the best baselines besides. rounds: seeds
    per finalist after each round, increasing. max_trials: the race ends before a round that would exceed it.
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


@dataclass(frozen=True)
class Standing:
    """How the race stands. missing: (finalist, index of its seed) to be trained now, the most urgent first.

    ahead: likewise for slots that would stand empty while a round is not decided: more seeds of those that lead it.
    contenders: finalists that are still in it. is_over: nothing is missing and nothing runs.
    """

    finalists: tuple[TrialRecord, ...]
    contenders: frozenset[int]
    missing: tuple[tuple[TrialRecord, int], ...]
    ahead: tuple[tuple[TrialRecord, int], ...]
    is_over: bool


def choose(records: Iterable[TrialRecord], stage: Stage, count: int) -> list[TrialRecord]:
    """The `count` best finished trials of a stage by the value that the search saw."""
    finished = [
        record
        for record in records
        if record.state is State.COMPLETE and record.stage is stage and record.objective is not None
    ]
    return sorted(finished, key=lambda record: (record.objective, record.number))[:count]


def finalists(records: Iterable[TrialRecord], rules: RaceRules) -> tuple[TrialRecord, ...]:
    """The best baselines and the best finished proposals."""
    records = list(records)
    baselines = choose(records, Stage.BASELINE, rules.baselines)
    return (*baselines, *choose(records, Stage.SEARCH, rules.top))


def standing(records: Iterable[TrialRecord], rules: RaceRules, seeds: Sequence[int]) -> Standing:
    """Where the race is, from all trials of the search. seeds: one training seed for each of the last round."""
    records = list(records)
    chosen = finalists(records, rules)
    numbers = {record.number for record in chosen}
    runs = [record for record in records if record.replicate_of is not None]
    have = {(record.replicate_of, record.seed) for record in runs}
    values = {
        (record.replicate_of, record.seed): record.objective
        for record in runs
        if record.state in (State.COMPLETE, State.DIVERGED) and record.objective is not None
    }
    diverged = {(record.replicate_of, record.seed) for record in runs if record.state is State.DIVERGED}
    running = any(record.state is State.RUNNING for record in runs)
    floor = noise_at_rungs(record for record in records if record.stage is not Stage.CONFIRM)
    begun = sum(record.stage is Stage.CONFIRM for record in runs)
    contenders, over = frozenset(numbers), False
    missing: list[tuple[TrialRecord, int]] = []
    ahead: list[tuple[TrialRecord, int]] = []
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
                missing = []
            break
        used = seeds[:size]
        found = {n: [values[n, seed] for seed in used if (n, seed) in values] for n in contenders}
        if running:  # the round is not decided before all of it is there
            if rules.max_trials is None:
                ahead = [
                    (record, index)
                    for index in range(size, rules.rounds[-1])
                    for record in _leading(racing, found)
                    if (record.number, seeds[index]) not in have
                ]
            break
        sound = [found[n] for n in contenders if not any((n, seed) in diverged for seed in used)]
        noise = _with_floor(pooled(sound), floor)
        kinds = [
            [record.number for record in racing if (record.stage is Stage.BASELINE) is baseline]
            for baseline in (True, False)
        ]
        contenders = frozenset(number for kind in kinds for number in _in_contention(kind, found, noise))
    over = not missing and not running
    return Standing(chosen, contenders, tuple(missing), tuple(ahead), over)


def _leading(racing: Sequence[TrialRecord], found: Mapping[int, Sequence[float]]) -> list[TrialRecord]:
    """The best of each kind so far: they will hardly leave the race in this round."""
    leaders = []
    for baseline in (True, False):
        kind = [r for r in racing if (r.stage is Stage.BASELINE) is baseline and found[r.number]]
        if kind:
            leaders.append(
                min(kind, key=lambda r: math.fsum(map(ln, found[r.number])) / len(found[r.number]))
            )
    return leaders


def _with_floor(own: SeedNoise | None, floor: Mapping[int, SeedNoise]) -> SeedNoise | None:
    """The noise of a round's finalists, pooled with the noise floor at the full budget."""
    base = floor[max(floor)] if floor else None
    return own + base if own and base else own or base


def _in_contention(
    kind: Sequence[int], found: Mapping[int, Sequence[float]], noise: SeedNoise | None
) -> list[int]:
    """Those of one kind that the noise does not tell from the best of it, on the scale of ln(objective)."""
    means = {n: math.fsum(map(ln, found[n])) / len(found[n]) for n in kind if found[n]}
    if not means or noise is None:
        return list(means)
    leader = min(means, key=lambda number: (means[number], number))

    def error(number: int) -> float:
        return noise.sd * math.sqrt(1 / len(found[number]) + 1 / len(found[leader]))

    factor = noise.factor(CONFIDENCE)
    return [n for n in means if n == leader or means[n] - means[leader] <= factor * error(n)]
