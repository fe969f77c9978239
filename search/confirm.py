"""What may be claimed: means over fresh seeds, their intervals, paired differences, ties.

All intervals are Student t intervals over training seeds: for a mean, of the values; for a difference, of the
values' differences seed by seed, since finalists are trained on the same seeds. Intervals of means hold with 95 %
each. Intervals of differences hold with 95 % for all of a leaderboard together (Bonferroni): the winner is picked
by the values that it is compared with, so the one comparison that is reported is the luckiest of several.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import t as student_t

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean and its interval. low and high are None for fewer than two values."""

    mean: float
    low: float | None
    high: float | None
    num_seeds: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def estimate(values: Sequence[float], comparisons: int = 1) -> Estimate:
    """Mean of `values` with its 95 % Student t interval; comparisons: of so many that hold together."""
    count = len(values)
    mean = math.fsum(values) / count
    if count < 2:
        return Estimate(mean, None, None, count)
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    half = float(student_t.ppf(1 - (1 - CONFIDENCE) / (2 * comparisons), count - 1)) * math.sqrt(
        variance / count
    )
    return Estimate(mean, mean - half, mean + half, count)


def paired_difference(
    one: Mapping[int, float], other: Mapping[int, float], comparisons: int = 1
) -> Estimate | None:
    """Mean of `one - other` over the seeds that both have, None without any."""
    seeds = sorted(one.keys() & other.keys())
    return estimate([one[seed] - other[seed] for seed in seeds], comparisons) if seeds else None


def ranks(
    values: Mapping[int, Mapping[int, float]], contenders: Collection[int] | None = None
) -> dict[int, int]:
    """Rank of each finalist by its mean; those that cannot be told from the best of their group share one.

    values: finalist -> {seed: objective}. contenders: those that are still in the race (None: all); the others
    have left it as worse and rank below, by their means over fewer seeds. In the order of the means, a
    contender is tied with the first of the group above it unless the interval of their paired difference lies
    above zero.
    """
    racing = set(values) if contenders is None else set(contenders)
    order = sorted(
        values,
        key=lambda number: (number not in racing, estimate(list(values[number].values())).mean, number),
    )
    comparisons = max(1, len(values) - 1)
    rank_of: dict[int, int] = {}
    leader: int | None = None
    for position, number in enumerate(order, start=1):
        if leader is None or number not in racing:
            leader, rank = number, position
        else:
            difference = paired_difference(values[number], values[leader], comparisons)
            if difference is not None and difference.excludes_zero:
                leader, rank = number, position
        rank_of[number] = rank
    return rank_of
