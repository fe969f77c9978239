"""What may be claimed: means over fresh seeds, their intervals, paired comparisons, ties.

Everything is estimated on the scale of ln(objective): means are geometric, comparisons are ratios, seed by seed, since
finalists are trained on the same seeds. Intervals are Student t intervals over training seeds whose variance is
moderated (Smyth 2004, doi:10.2202/1544-6115.1027): the few seeds of one schedule say little about its noise, so the
noise between seeds that was measured over all replicated schedules counts as PRIOR_DEGREES more of them. On recorded
curves that gives the coverage that is claimed, where plain t intervals on five seeds had 93 of 95 %, and on two seeds a
width that says something (`python -m bench.quality.search_quality`, "The intervals").

All intervals of a leaderboard hold with 95 % together (Bonferroni), because the winner is picked by the values that it
is compared with. That comparisons with the best of the others alone have to hold together for the truly best to be
among the tied is due to Hsu (1984, doi:10.1214/aos/1176346732).
"""

import itertools
import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from scipy.stats import t as student_t

from search.evidence.noise import SeedNoise
from search.record import has_diverged, ln

CONFIDENCE = 0.95
# Degrees of freedom that the noise of all schedules is worth for one of them, by how much schedules differ in it on
# the recorded curves of the digits (`bench/quality/curve_facts.py`).
PRIOR_DEGREES = 3


@dataclass(frozen=True)
class Estimate:
    """A geometric mean and its interval. low and high are None for fewer than two values.

    standard_error: of ln(mean), None likewise.
    """

    mean: float
    low: float | None
    high: float | None
    num_seeds: int
    standard_error: float | None = None

    @property
    def below_one(self) -> bool:
        """Of a ratio: whether it is shown to be smaller than 1."""
        return self.high is not None and self.high < 1

    @property
    def above_one(self) -> bool:
        """Of a ratio: whether it is shown to be larger than 1."""
        return self.low is not None and self.low > 1


def estimate(values: Sequence[float], noise: SeedNoise | None = None, comparisons: int = 1) -> Estimate:
    """Geometric mean of `values` with its 95 % interval.

    noise: between seeds, over all schedules. comparisons: of so many intervals that hold together.
    """
    return _estimate([ln(value) for value in values], noise, comparisons, num_objectives=1)


def ratio(
    one: Mapping[int, float],
    other: Mapping[int, float],
    noise: SeedNoise | None = None,
    comparisons: int = 1,
) -> Estimate | None:
    """Mean of `one / other` over the seeds that both have, None without any."""
    seeds = sorted(one.keys() & other.keys())
    if not seeds:
        return None
    logs = [ln(one[seed]) - ln(other[seed]) for seed in seeds]
    return _estimate(logs, noise, comparisons, num_objectives=2)


def _estimate(
    logs: Sequence[float], noise: SeedNoise | None, comparisons: int, *, num_objectives: int
) -> Estimate:
    """The estimate of exp(mean of `logs`); each log is that of one objective, or of the ratio of two.

    Each objective has the noise between seeds; that two share a seed makes the noise of their ratio a little less.
    """
    count = len(logs)
    mean = math.fsum(logs) / count
    if count < 2:
        return Estimate(math.exp(mean), None, None, count)
    degrees = count - 1
    squares = math.fsum((value - mean) ** 2 for value in logs)
    if noise is not None:
        prior_degrees = min(PRIOR_DEGREES, noise.degrees)
        squares += prior_degrees * (num_objectives * noise.sd**2)
        degrees += prior_degrees
    error = math.sqrt(squares / degrees / count)
    half = float(student_t.ppf(1 - (1 - CONFIDENCE) / (2 * comparisons), degrees)) * error
    return Estimate(math.exp(mean), _exp(mean - half), _exp(mean + half), count, error)


def _exp(value: float) -> float:
    """exp, finite: the interval of diverged trials would not fit into JSON."""
    return math.exp(min(value, 700.0))


def ranks(
    values: Mapping[int, Mapping[int, float]],
    noise: SeedNoise | None = None,
    *,
    contenders: Collection[int] | None = None,
    kinds: Mapping[int, Hashable] | None = None,
) -> dict[int, int]:
    """Rank of each finalist by its mean; finalists that cannot be told from the best of their group share one.

    values: finalist -> {seed: objective}. noise: between seeds, over all schedules. contenders: the finalists that are
    still in the race (None: all). In the order of the means, a contender is tied with the first of the group above it
    unless their ratio is shown to be above 1. kinds: of the finalists; each races against its own kind (None: all are
    of one). Finalists that left the race have means over fewer seeds, and were worse than the leader of their kind:
    they rank below the contenders of their kind, and below the best of all. A finalist that diverged on more seeds is
    worse, whatever its other values.
    """
    means = {number: _Mean.of(own) for number, own in values.items()}
    in_order = sorted(values, key=lambda number: (means[number], number))
    racing = set(values) if contenders is None else set(contenders)
    comparisons = len(values) - 1

    def tied(number: int, first: int) -> bool:
        against = ratio(values[number], values[first], noise, comparisons)
        same = means[number].num_diverged == means[first].num_diverged
        return same and not (against and against.above_one)

    groups: list[list[int]] = []
    for number in (number for number in in_order if number in racing):
        if groups and tied(number, groups[-1][0]):
            groups[-1].append(number)
        else:
            groups.append([number])
    for number in (number for number in in_order if number not in racing):
        groups.insert(_below(groups, number, means, kinds or {}), [number])
    starts = itertools.accumulate((len(group) for group in groups), initial=1)
    return {number: start for start, group in zip(starts, groups, strict=False) for number in group}


class _Mean(NamedTuple):
    """How finalists are ordered: first by the number of seeds on which they diverged."""

    num_diverged: int
    geometric: float

    @classmethod
    def of(cls, own: Mapping[int, float]) -> "_Mean":
        return cls(sum(map(has_diverged, own.values())), estimate(list(own.values())).mean)


def _below(
    groups: Sequence[Sequence[int]], number: int, means: Mapping[int, _Mean], kinds: Mapping[int, Hashable]
) -> int:
    """Where in the groups a finalist that left the race belongs: below the best, its kind and all that is better."""
    own_kind = [i for i, group in enumerate(groups) if any(kinds.get(n) == kinds.get(number) for n in group)]
    index = 1 + max(own_kind, default=0)
    while index < len(groups) and means[groups[index][0]] <= means[number]:
        index += 1
    return index
