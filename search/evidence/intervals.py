"""What may be claimed: means over fresh seeds, their intervals, paired comparisons, ties.

Everything is estimated on the scale of ln(objective): means are geometric, comparisons are ratios, seed by seed, since
finalists are trained on the same seeds. Intervals are Student t intervals over training seeds whose variance is
moderated (Smyth 2004, doi:10.2202/1544-6115.1027): the few seeds of one schedule say little about its noise, so the
noise of other schedules counts as up to PRIOR_DEGREES more of them. Others are those of the same kind, proposals or
baselines, which may differ in their noise by much; what is estimated never counts among them, else its own variance
would count twice; and noise that is itself known from few seeds counts as less. How often that holds what it claims,
wherever a search may end: `python -m bench.quality.coverage`.

The means of a leaderboard hold with 95 % together (Bonferroni), because the winner is picked by the values that it is
compared with; so do, for themselves, the ratios to the best baseline, and the comparisons with the best of all. That
comparisons with the best of the others alone have to hold together for the truly best to be among the tied is due to
Hsu (1984, doi:10.1214/aos/1176346732). The logarithms are taken as normal: a schedule that fails on one seed in ten
is not, and five seeds show nothing of it with probability .59 (search/evidence/stability.py).
"""

import itertools
import math
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

from search.evidence.noise import SeedNoise
from search.evidence.quantiles import student_t
from search.record import has_diverged, ln

CONFIDENCE = 0.95
# Degrees of freedom that the noise of all schedules is worth for one of them, by how much schedules differ in it on
# the recorded curves of the digits (`bench/quality/curve_facts.py`).
PRIOR_DEGREES = 3


# (one, other, seeds) -> the noise of ln of their ratio on these seeds: `SeedValues.noise_of_ratio`.
RatioNoise: TypeAlias = Callable[[int, int, Collection[int]], SeedNoise | None]


@dataclass(frozen=True)
class Estimate:
    """A geometric mean and its interval; of differences, an arithmetic one. low and high are None for fewer than two
    values.

    standard_error: of ln(mean), or of the mean difference; None likewise.
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

    noise: between seeds, as other schedules have it. comparisons: of so many intervals that hold together.
    """
    return _estimate([ln(value) for value in values], noise, comparisons)


def ratio(
    one: Mapping[int, float],
    other: Mapping[int, float],
    noise: SeedNoise | None = None,
    comparisons: int = 1,
) -> Estimate | None:
    """Mean of `one / other` over the seeds that both have, None without any.

    noise: of ln(one / other), as other schedules have it; that two share a seed makes their ratio's a little less.
    """
    seeds = sorted(one.keys() & other.keys())
    if not seeds:
        return None
    logs = [ln(one[seed]) - ln(other[seed]) for seed in seeds]
    return _estimate(logs, noise, comparisons)


def difference(
    one: Mapping[int, float], other: Mapping[int, float], *, comparisons: int = 1
) -> Estimate | None:
    """Arithmetic mean of `one - other` over the seeds that both have, None without any."""
    seeds = sorted(one.keys() & other.keys())
    return _mean([one[seed] - other[seed] for seed in seeds], None, comparisons) if seeds else None


def ratio_of(
    values: Mapping[int, Mapping[int, float]], one: int, other: int, noise: RatioNoise, comparisons: int = 1
) -> Estimate | None:
    """`ratio` of two schedules with the noise that is known of it."""
    shared = values[one].keys() & values.get(other, {}).keys()
    return ratio(values[one], values[other], noise(one, other, shared), comparisons) if shared else None


def _estimate(logs: Sequence[float], noise: SeedNoise | None, comparisons: int) -> Estimate:
    """The estimate of exp(mean of `logs`)."""
    found = _mean(logs, noise, comparisons)
    low, high = (None if bound is None else _exp(bound) for bound in (found.low, found.high))
    return replace(found, mean=math.exp(found.mean), low=low, high=high)


def _mean(values: Sequence[float], noise: SeedNoise | None, comparisons: int) -> Estimate:
    """Arithmetic mean of the values. noise: between seeds, on their scale."""
    count = len(values)
    mean = math.fsum(values) / count
    if count < 2:
        return Estimate(mean, None, None, count)
    degrees = float(count - 1)
    squares = math.fsum((value - mean) ** 2 for value in values)
    if noise is not None:
        # ln of a variance with d degrees of freedom has the variance 2/d: that of one schedule about the noise of all,
        # and that of the noise as it was measured, add up.
        prior_degrees = 1 / (1 / PRIOR_DEGREES + 1 / noise.degrees)
        squares += prior_degrees * noise.sd**2
        degrees += prior_degrees
    error = math.sqrt(squares / degrees / count)
    half = student_t(degrees, 1 - (1 - CONFIDENCE) / (2 * comparisons)) * error
    return Estimate(mean, mean - half, mean + half, count, error)


def _exp(value: float) -> float:
    """exp, finite: the interval of diverged trials would not fit into JSON."""
    return math.exp(min(value, 700.0))


def ranks(
    values: Mapping[int, Mapping[int, float]],
    noise: RatioNoise = lambda one, other, seeds: None,
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
        against = ratio_of(values, number, first, noise, comparisons)
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
