"""The ends of a schedule against closed forms, and the sentence about thin ones."""

import math
from dataclasses import replace

import pytest
from scipy.stats import norm

from spaces import PRESETS, KarrasGrid, NoiseDistribution, NoiseSchedule
from spaces.curricula.constant import Constant
from spaces.curricula.exponential import Exponential
from spaces.noise.lognormal import LogNormal
from spaces.noise.logsnr_laplace import LogSNRLaplace
from spaces.noise.loss_second_moment import LossSecondMoment
from spaces.noise.tabulated import Tabulated
from spaces.noise.uniform import Uniform
from spaces.thin_ends import HIGH, LEAST, LOW, ends, thin_end

GRID = KarrasGrid()
SIGMA_DATA = 0.5
WIDE, NARROW = LogNormal(p_mean=-1.1, p_std=2.0), LogNormal(p_mean=0.0, p_std=0.4)


def schedule(noise: NoiseDistribution, floor: float = 0.0, levels: int = 8001) -> NoiseSchedule:
    return NoiseSchedule(grid=GRID, noise=noise, curriculum=Constant(levels=levels), uniform_floor=floor)


def normal_ends(law: LogNormal, low: float, high: float) -> tuple[float, float]:
    """Of ln sigma ~ N(p_mean, p_std**2), truncated to the grid."""
    cdf = norm(law.p_mean, law.p_std).cdf
    first, below, above, last = cdf(
        [math.log(sigma) for sigma in (GRID.sigma_min, low, high, GRID.sigma_max)]
    )
    return (below - first) / (last - first), (last - above) / (last - first)


@pytest.mark.parametrize("law", [WIDE, NARROW, LogNormal(p_mean=2.0, p_std=1.0)])
@pytest.mark.parametrize("sigma_data", [0.5, 2.0])
def test_a_lognormal_law_has_the_tails_of_the_normal_law(law: LogNormal, sigma_data: float) -> None:
    found = ends(schedule(law), 1000, sigma_data)
    assert (found.low, found.high) == (LOW * sigma_data, HIGH * sigma_data)
    assert (found.below, found.above) == pytest.approx(normal_ends(law, found.low, found.high), rel=1e-2)


def test_a_laplace_law_has_its_tails() -> None:
    # ln sigma is Laplace about ln(.5) with scale b / 2 = .25.
    found = ends(schedule(LogSNRLaplace(mu=0.0, b=0.5)), 1000)
    assert found.below == pytest.approx(LOW ** (1 / 0.25) / 2, rel=1e-2)
    assert found.above == pytest.approx(HIGH ** (-1 / 0.25) / 2, rel=1e-2)


def test_a_uniform_floor_is_mixed_in() -> None:
    law, even = ends(schedule(NARROW), 1000), ends(schedule(Uniform()), 1000)
    mixed = ends(schedule(NARROW, floor=0.1), 1000)
    assert mixed.below == pytest.approx(0.9 * law.below + 0.1 * even.below)
    assert mixed.above == pytest.approx(0.9 * law.above + 0.1 * even.above)


def test_few_levels_stand_for_all_that_lies_between() -> None:
    found = ends(schedule(WIDE, levels=2), 1000)
    whole = math.log(GRID.sigma_max / GRID.sigma_min)
    assert found.below == pytest.approx(math.log(found.low / GRID.sigma_min) / whole)
    assert found.above == pytest.approx(math.log(GRID.sigma_max / found.high) / whole)


def test_a_curriculum_counts_by_its_steps() -> None:
    # 2 levels for the first half; then 3, and all draws are of the lower interval, which ends at 4.
    law = Tabulated(weights=(1.0, 0.0))
    both = NoiseSchedule(grid=GRID, noise=law, curriculum=Exponential(s0=1, doublings=1))
    stages = both.stages(1000)
    assert [(stage.start_step, stage.num_levels) for stage in stages] == [(0, 2), (500, 3)]
    alone = ends(schedule(WIDE, levels=2), 1000)
    middle = float(stages[1].sigma_N[1])
    later = math.log(alone.low / GRID.sigma_min) / math.log(middle / GRID.sigma_min)
    assert ends(both, 1000).below == pytest.approx((alone.below + later) / 2)


@pytest.mark.parametrize(("sigma_data", "expected"), [(1e-3, (0.0, 1.0)), (1e3, (1.0, 0.0))])
def test_a_grid_on_one_side_of_the_data_is_all_end(sigma_data: float, expected: tuple[float, float]) -> None:
    found = ends(schedule(WIDE), 10, sigma_data)
    assert (found.below, found.above) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", PRESETS)
def test_the_ends_of_every_preset_are_shares(name: str) -> None:
    found = ends(PRESETS[name].schedule, 2000)
    assert 0 <= found.below <= 1 and 0 <= found.above <= 1 and found.below + found.above <= 1


def test_the_sentence_names_the_thinner_end() -> None:
    assert thin_end(PRESETS["ict"].schedule, 2000) is None
    for mean, where in ((1.0, "below sigma 0.3"), (-2.5, "above sigma 1")):
        law = LogNormal(p_mean=mean, p_std=0.8)
        share = min(normal_ends(law, LOW * SIGMA_DATA, HIGH * SIGMA_DATA))
        said = thin_end(schedule(law), 2000)
        assert said is not None
        assert said.startswith(
            f"has {100 * share:.2g} % of its draws {where}: schedules with less than 5 % there"
        )


def test_the_sentence_comes_below_the_least_share_only() -> None:
    said = []
    for floor in (0.0, 0.05, 0.1, 0.2, 0.4, 0.8):
        found = schedule(NARROW, floor=floor)
        shares = ends(found, 2000)
        said.append(thin_end(found, 2000) is not None)
        assert said[-1] == (min(shares.below, shares.above) < LEAST)
    assert said[0] and not said[-1]


def test_nothing_is_said_of_a_law_that_adapts() -> None:
    fixed = schedule(Tabulated(weights=(1.0, 0.0, 0.0, 0.0)), levels=41)
    assert thin_end(fixed, 2000) is not None
    assert thin_end(replace(fixed, noise=LossSecondMoment()), 2000) is None
