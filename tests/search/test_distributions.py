"""Quantiles and ranks that stand here without scipy.stats, whose import takes longer than to show a leaderboard."""

import numpy as np
import pytest
import scipy.stats

from search.evidence.audit import clopper_pearson
from search.evidence.noise import SeedNoise
from search.evidence.rank_correlation import rank_correlation


@pytest.mark.parametrize("degrees", [1, 2, 3, 30, 1000])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.9999])
def test_the_factor_is_students_quantile(degrees: int, confidence: float) -> None:
    expected = scipy.stats.t.ppf((1 + confidence) / 2, degrees)
    assert SeedNoise(1.0, degrees, 1).factor(confidence) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(("count", "total"), [(0, 5), (1, 5), (5, 5), (3, 400), (399, 400)])
def test_the_interval_of_a_share_is_that_of_scipy(count: int, total: int) -> None:
    expected = scipy.stats.binomtest(count, total).proportion_ci(0.95, "exact")
    assert clopper_pearson(count, total) == pytest.approx((expected.low, expected.high), rel=1e-12)


@pytest.mark.parametrize("num", [3, 5, 40])
def test_the_rank_correlation_is_that_of_scipy_with_and_without_ties(num: int) -> None:
    rng = np.random.default_rng(0)
    for highest in (3, 1000):
        pairs = list(zip(rng.integers(0, highest, num).tolist(), rng.normal(size=num).tolist(), strict=True))
        expected = scipy.stats.spearmanr(*zip(*pairs, strict=True)).statistic
        assert rank_correlation(pairs).value == pytest.approx(expected, abs=1e-15)
