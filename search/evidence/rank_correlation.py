"""Spearman's rank correlation of a few pairs, with its interval."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.evidence.quantiles import student_t

CONFIDENCE = 0.95


@dataclass(frozen=True)
class RankCorrelation:
    """value: None for fewer than three pairs, and where all values of one side are equal.

    low, high: `rank_interval`; None for fewer than four pairs, and for a correlation of 1 or -1.
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
    one, other = map(_ranks, sides)
    value = float(np.corrcoef(one, other)[0, 1])
    if num_pairs < 4 or abs(value) == 1:
        return RankCorrelation(num_pairs, value)
    return RankCorrelation(num_pairs, value, *rank_interval(value, num_pairs))


def _ranks(values: Sequence[float]) -> NDArray[np.float64]:
    """Of each value, from 1; equal ones share the mean of theirs."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[which]


def rank_interval(correlation: float, count: int) -> tuple[float, float]:
    """95 % interval of a rank correlation of so many pairs, four at least: Fisher's z, variance (1 + r^2/2)/(n - 3).

    Bonett & Wright 2000 (doi:10.1007/BF02294183), with Student's t in place of the normal quantile. Of normal pairs it
    holds in .92 or more up to a correlation of .98; nearer to 1 in less (`python -m bench.quality.coverage`).
    """
    error = math.sqrt((1 + correlation**2 / 2) / (count - 3))
    half = student_t(count - 3, (1 + CONFIDENCE) / 2) * error
    z = math.atanh(correlation)
    return math.tanh(z - half), math.tanh(z + half)
