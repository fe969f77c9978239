"""Every grid in spaces/grids/, the ones dropped in later included, and the two of today against their formulas."""

import numpy as np
import pytest
import torch

from search.contracts._promise import Promise
from search.contracts.grids import PROMISES
from spaces import GRIDS, KarrasGrid, NoiseDistribution, NoiseSchedule, SearchSpace
from spaces.curricula.constant import Constant
from spaces.curricula.exponential import Exponential
from spaces.curricula.sinusoidal import Sinusoidal
from spaces.grids.karras_master import KarrasMasterGrid
from spaces.noise.tabulated import Tabulated
from spaces.noise.uniform import Uniform
from spaces.noise.vp_linear import VPLinear

EVERYTHING = SearchSpace.from_mapping({"grid": dict.fromkeys(GRIDS), "curriculum": {"constant": None}})
every_grid = pytest.mark.parametrize("name", list(GRIDS))


@every_grid
@pytest.mark.parametrize("promise", PROMISES)
def test_a_grid_keeps_what_grids_keep(name: str, promise: Promise) -> None:
    promise(name)


@every_grid
def test_refuses_grids_without_room_or_out_of_bounds(name: str) -> None:
    for options in ({"sigma_min": 0.0}, {"sigma_max": float("nan")}, {"rho": 0.5}, {"sigma_min": 80.0}):
        with pytest.raises(ValueError, match="must hold, but got"):
            GRIDS[name](**options)
    with pytest.raises(ValueError, match="num_levels >= 2"):
        GRIDS[name]().sigmas(1)


@pytest.mark.parametrize("rho", [1.0, 2.0, 7.0, 12.0, 100.0])
@pytest.mark.parametrize("num_levels", [2, 11, 1281, 16_385])
def test_karras_levels_are_distinct_for_every_rho(rho: float, num_levels: int) -> None:
    assert (KarrasGrid(rho=rho).sigmas(num_levels).diff() > 0).all()


def test_levels_equal_the_formula_of_the_paper() -> None:
    i = np.arange(20)
    expected = (0.002 ** (1 / 7) + i / 19 * (80 ** (1 / 7) - 0.002 ** (1 / 7))) ** 7
    np.testing.assert_allclose(KarrasGrid().sigmas(20).numpy(), expected, rtol=1e-14)


def test_spacing_at_n_1281_is_as_published() -> None:
    step_M = KarrasGrid().sigmas(1281).diff()
    assert step_M[0].item() == pytest.approx(3.9e-5, rel=0.01)
    assert 1 / step_M[0].item() == pytest.approx(25_600, rel=0.005)
    assert 1 / step_M[-1].item() == pytest.approx(2.9, abs=0.05)


def test_describe_shows_the_ends_only_where_unusual_and_names_all_grids_but_the_usual_one() -> None:
    assert KarrasGrid().describe() == "rho=7"
    assert KarrasGrid(rho=5.046, sigma_max=20.0).describe() == "sigma_max=20, rho=5.046"
    assert KarrasMasterGrid(levels=251).describe() == "karras_master(rho=7, levels=251)"


def test_every_stage_of_a_master_grid_takes_its_levels_from_the_master() -> None:
    grid = KarrasMasterGrid(levels=251)
    master = set(KarrasGrid().sigmas(251).tolist())
    for num_levels in range(2, 252):
        sigma_N = grid.sigmas(num_levels)
        assert set(sigma_N.tolist()) <= master
        assert (sigma_N.diff() > 0).all()
    half_sine = Sinusoidal(s0=20, s1=250, exponent=1.5, offset=0)
    schedule = NoiseSchedule(grid=grid, noise=Uniform(), curriculum=half_sine)
    union = {sigma for stage in schedule.stages(2000) for sigma in stage.sigma_N.tolist()}
    assert union <= master
    again = NoiseSchedule(grid=KarrasGrid(), noise=Uniform(), curriculum=half_sine)
    assert len({sigma for stage in again.stages(2000) for sigma in stage.sigma_N.tolist()}) > 1000


def test_a_master_grid_is_within_half_a_master_level_of_the_regenerated_one() -> None:
    index_M = np.arange(251) / 250
    for num_levels in (20, 66, 131, 169, 250):
        sigma_N = KarrasMasterGrid(levels=251).sigmas(num_levels).numpy()
        chosen_N = np.searchsorted(KarrasGrid().sigmas(251).numpy(), sigma_N)
        wanted_N = np.arange(num_levels) / (num_levels - 1)
        assert np.abs(index_M[chosen_N] - wanted_N).max() <= 0.5 / 250 + 1e-12


def test_doubling_levels_of_a_master_are_the_regenerated_ones() -> None:
    for num_levels in (11, 21, 41, 81, 161, 321, 641, 1281):
        for master in (KarrasMasterGrid(), KarrasMasterGrid(levels=1281)):
            expected_N = KarrasGrid().sigmas(num_levels)
            torch.testing.assert_close(master.sigmas(num_levels), expected_N, rtol=1e-12, atol=0)


def test_the_default_master_is_enough_for_the_default_range_of_every_curriculum() -> None:
    SearchSpace.from_mapping({"grid": {"karras_master": None}})


def test_a_curriculum_that_needs_more_levels_than_the_master_has_is_refused() -> None:
    grid = KarrasMasterGrid(levels=251)
    NoiseSchedule(grid=grid, noise=Uniform(), curriculum=Constant(levels=251))
    with pytest.raises(
        ValueError, match=r"constant\(levels=252\) needs up to 252 levels, but karras_master has 251"
    ):
        NoiseSchedule(grid=grid, noise=Uniform(), curriculum=Constant(levels=252))
    with pytest.raises(ValueError, match="needs up to 1281 levels, but karras_master has 251"):
        NoiseSchedule(grid=grid, noise=Uniform(), curriculum=Exponential())
    # Its peaks are so narrow that 1,000 steps show none above 60.
    spiky = Sinusoidal(s0=5, s1=640, period=0.01, power=100.0, delta=0.0)
    assert spiky.num_levels(np.arange(1001), 1000).max() < 60
    with pytest.raises(ValueError, match="needs up to 641 levels, but karras_master has 60"):
        NoiseSchedule(grid=KarrasMasterGrid(levels=60), noise=Uniform(), curriculum=spiky)


@pytest.mark.parametrize(
    "noise", [VPLinear(), Tabulated(weights=(1.0, 2.0), sigmas=(0.1, 0.2, 0.3)), Tabulated(sigmas=(2e3, 3e3))]
)
def test_a_law_without_mass_on_the_grid_is_refused_with_the_schedule(noise: NoiseDistribution) -> None:
    with pytest.raises(ValueError, match=r"has no mass .*between sigma=500 and sigma=1000"):
        NoiseSchedule(
            grid=KarrasGrid(sigma_min=500.0, sigma_max=1000.0), noise=noise, curriculum=Constant(levels=20)
        )
    NoiseSchedule(
        grid=KarrasGrid(sigma_min=0.25, sigma_max=2500.0), noise=noise, curriculum=Constant(levels=20)
    ).stages(10)
