"""Schedules near another one."""

import random
import statistics

import pytest

from spaces import PRESETS, SearchSpace
from spaces.space.neighbour import neighbour

SPACE = SearchSpace.from_mapping(
    {
        "noise": {"lognormal": None, "polynomial": {"degree": {"low": 1, "high": 4, "step": 0.5}}},
        "curriculum": {"constant": {"levels": {"low": 10, "high": 1000, "log": True}}, "exponential": None},
    }
)
ICT = SPACE.params_of(PRESETS["ict"].schedule)


def test_it_is_in_the_space_and_its_parameters_give_it() -> None:
    assert ICT is not None
    rng = random.Random(0)
    for params in [ICT, {}] * 200:
        found = neighbour(SPACE, params, 0.5, rng)
        assert SPACE.params_of(found.schedule) == pytest.approx(found.params)


@pytest.mark.parametrize("share", [0.01, 0.1])
def test_numbers_move_by_a_share_of_their_range_and_families_mostly_stay(share: float) -> None:
    assert ICT is not None
    rng = random.Random(1)
    near = [neighbour(SPACE, ICT, share, rng).params for _ in range(2000)]
    kept = [params["lognormal.p_mean"] for params in near if params["noise"] == "lognormal"]
    # Of two families a tenth of the draws is drawn anew, half of these the same: .95, with a standard deviation of 10.
    assert abs(len(kept) - 1900) < 60
    # 6 sigma of the standard deviation of 1900 normal draws over a range of 4.
    assert statistics.pstdev(kept) == pytest.approx(4 * share, rel=6 / (2 * 1900) ** 0.5)


def test_far_from_anything_it_is_anywhere() -> None:
    rng = random.Random(2)
    drawn = [neighbour(SPACE, {}, 0.1, rng).params for _ in range(2000)]
    means = [params["lognormal.p_mean"] for params in drawn if params["noise"] == "lognormal"]
    assert abs(len(means) - 1000) < 6 * 23
    assert min(means) < -2.9 and max(means) > 0.9 and statistics.fmean(means) == pytest.approx(-1, abs=0.25)
    levels = [params["constant.levels"] for params in drawn if params["curriculum"] == "constant"]
    assert statistics.median(levels) == pytest.approx(100, rel=0.3)  # the middle of the logarithm


def test_near_an_end_of_a_range_few_lie_on_it() -> None:
    assert ICT is not None
    rng = random.Random(3)
    drawn = [neighbour(SPACE, {**ICT, "lognormal.p_mean": 1.0}, 0.1, rng).params for _ in range(2000)]
    means = [params["lognormal.p_mean"] for params in drawn if params["noise"] == "lognormal"]
    assert max(means) <= 1.0
    # Normal about the end with a standard deviation of .4, reflected: some 4 of 1900.
    assert sum(mean > 0.999 for mean in means) < 20
