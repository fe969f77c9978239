"""Spearman's rank correlation of a few pairs, with its interval."""

import math
from collections.abc import Collection
from dataclasses import dataclass

from scipy.stats import norm, spearmanr

CONFIDENCE = 0.95


@dataclass(frozen=True)
class RankCorrelation:
    """value: None for fewer than three pairs, and where all values of one side are equal.

    low, high: interval of CONFIDENCE (Fisher's z, variance (1 + r^2/2) / (n - 3); Bonett & Wright 2000,
    doi:10.1007/BF02294183); None for fewer than four pairs, and for a correlation of 1 or -1.
    """

    num_pairs: int
    value: float | None = None
    low: float | None = None
    high: float | None = None


def rank_correlation(pairs: Collection[tuple[float, float]]) -> RankCorrelation:
    """Of (one, other) for each trial."""
    num_pairs = len(pairs)
    sides = list(zip(*pairs, strict=True))
    if num_pairs < 3 or any(len(set(side)) == 1 for side in sides):  # of equal values there is no order
        return RankCorrelation(num_pairs)
    value = float(spearmanr(*sides).statistic)
    if num_pairs < 4 or abs(value) == 1:
        return RankCorrelation(num_pairs, value)
    error = math.sqrt((1 + value**2 / 2) / (num_pairs - 3))
    half = float(norm.ppf((1 + CONFIDENCE) / 2)) * error
    z = math.atanh(value)
    return RankCorrelation(num_pairs, value, math.tanh(z - half), math.tanh(z + half))
