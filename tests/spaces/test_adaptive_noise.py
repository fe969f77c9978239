"""Adaptive families, the statistics they follow, and the plain numbers they become."""

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from spaces import CURRICULA, NOISE, KarrasGrid, NoiseSchedule, SearchSpace
from spaces.adaptive_noise import AdaptiveNoise, LossMoments
from spaces.arrays import tensor_of
from spaces.noise.learned import Learned
from spaces.noise.lognormal import LogNormal
from spaces.noise.loss_second_moment import LossSecondMoment
from spaces.noise.tabulated import MAX_BINS, Tabulated, index_edges, rebinned
from spaces.noise.uniform import Uniform

ADAPTIVE = {name: family for name, family in NOISE.items() if issubclass(family, AdaptiveNoise)}
every_adaptive = pytest.mark.parametrize("name", list(ADAPTIVE))


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def bell(num_bins: int, sharpness: float = 8.0) -> Tensor:
    """A second moment with a peak in the middle of the index."""
    u = tensor_of(index_edges(num_bins))[:-1] + 0.5 / num_bins
    return (-sharpness * (u - 0.5) ** 2).exp() ** 2


def total_variation(p: Tensor, q: Tensor) -> float:
    return ((p - q).abs().sum() / 2).item()


# --- tabulated -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_levels", [2, 5, 9, 1281])
def test_bins_of_the_index_keep_their_shares_whatever_n_and_rho(num_levels: int) -> None:
    noise = Tabulated(weights=(1.0, 5.0, 0.0, 2.0))
    for rho in (2.0, 7.0):
        p_M = noise.interval_probabilities(KarrasGrid(rho=rho).sigmas(num_levels))
        if num_levels > 2:  # at least an interval to a bin
            torch.testing.assert_close(p_M.view(4, -1).sum(1), doubles(1, 5, 0, 2) / 8)


def test_bins_of_sigma_keep_their_mass_whatever_the_grid() -> None:
    noise = Tabulated(weights=(1.0, 2.0, 1.0), sigmas=(0.002, 0.1, 1.0, 80.0))
    for grid in (KarrasGrid(rho=3.0), KarrasGrid(rho=12.0)):
        sigma_N = grid.sigmas(4001)
        below = noise.interval_probabilities(sigma_N).cumsum(0)[(sigma_N < 1.0).sum() - 1]
        assert below.item() == pytest.approx(0.75, abs=2e-3)  # an interval of 4000


def test_inside_a_bin_of_sigma_the_mass_is_even_over_ln_sigma() -> None:
    noise = Tabulated(weights=(1.0,), sigmas=(0.01, 100.0))
    p_M = noise.interval_probabilities(doubles(0.01, 0.1, 10.0, 100.0))
    torch.testing.assert_close(p_M, doubles(0.25, 0.5, 0.25))


def test_bins_outside_the_grid_are_cut_off() -> None:
    noise = Tabulated(weights=(1.0, 1.0, 6.0), sigmas=(0.001, 0.01, 0.1, 1.0))
    p_M = noise.interval_probabilities(doubles(0.01, 0.1, math.sqrt(0.1), 5.0))
    torch.testing.assert_close(p_M, doubles(1, 3, 3) / 7)
    with pytest.raises(ValueError, match=r"tabulated\(bins=3, .* has no mass between sigma=2 and sigma=80"):
        noise.interval_probabilities(doubles(2.0, 80.0))


def test_one_bin_is_uniform() -> None:
    for num_levels in (2, 11, 1281):
        sigma_N = KarrasGrid().sigmas(num_levels)
        torch.testing.assert_close(
            Tabulated().interval_probabilities(sigma_N), Uniform().interval_probabilities(sigma_N)
        )


def test_the_probabilities_of_another_family_can_be_written_as_a_table() -> None:
    grid = KarrasGrid()
    p_M = LogNormal().interval_probabilities(grid.sigmas(65))
    by_index = Tabulated(weights=tuple(p_M.tolist()))
    by_sigma = Tabulated(weights=tuple(p_M.tolist()), sigmas=tuple(grid.sigmas(65).tolist()))
    for num_levels in (65, 33, 5):  # of which 64 is a multiple: exact
        expected_M = LogNormal().interval_probabilities(grid.sigmas(num_levels))
        for table in (by_index, by_sigma):
            measured_M = table.interval_probabilities(grid.sigmas(num_levels))
            torch.testing.assert_close(measured_M, expected_M, rtol=1e-9, atol=1e-12)


def test_importance_weights_make_the_expected_objective_that_of_uniform_sampling() -> None:
    noise = Tabulated(weights=(1.0, 4.0, 2.0), importance_weights=True)
    p_M = noise.interval_probabilities(KarrasGrid().sigmas(11))
    weight_M = noise.loss_weights(p_M)
    assert weight_M is not None
    loss_M = torch.rand(10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert (p_M * weight_M * loss_M).sum().item() == pytest.approx(loss_M.mean().item(), rel=1e-12)
    gated_M = noise.loss_weights(doubles(0.0, 0.25, 0.75))
    assert gated_M is not None
    torch.testing.assert_close(gated_M, doubles(1, 4 / 3, 4 / 9))  # finite where nothing is drawn
    assert Tabulated(weights=(1.0, 4.0)).loss_weights(p_M) is None
    assert LogNormal().loss_weights(p_M) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": ()}, f"`weights` must be 1 to {MAX_BINS} numbers, but got 0"),
        ({"weights": (1.0,) * (MAX_BINS + 1)}, "but got 4097"),
        ({"weights": (1.0, -0.5)}, "`weights` must be finite and >= 0, but got -0.5"),
        ({"weights": (1.0, math.nan)}, "but got nan"),
        ({"weights": (1.0, math.inf)}, "but got inf"),
        ({"weights": (0.0, 0.0)}, "`weights` must have a finite sum > 0, but got 0.0"),
        ({"weights": (1e308, 1e308)}, "`weights` must have a finite sum > 0, but got inf"),
        ({"weights": (1.0,), "sigmas": (1.0,)}, "`sigmas` must be one more than weights, but got 1 for 1"),
        ({"weights": (1.0,), "sigmas": (2.0, 1.0)}, "`sigmas` must be > 0, finite and increasing"),
        ({"weights": (1.0,), "sigmas": (0.0, 1.0)}, "`sigmas` must be > 0, finite and increasing"),
        ({"weights": (1.0,), "sigmas": (1.0, math.nan)}, "`sigmas` must be > 0, finite and increasing"),
    ],
)
def test_a_table_that_is_none_is_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        Tabulated(**options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_survives_json_and_is_described_in_a_word() -> None:
    for table, text in [
        (Tabulated(weights=(1.0, 3.0)), "tabulated(bins=2, median_u=0.6667)"),
        (Tabulated(weights=(2, 1), sigmas=(1, 4, 9)), "tabulated(bins=2, median_sigma=2.828)"),
        (Tabulated(importance_weights=True), "tabulated(bins=1, median_u=0.5, importance_weights=True)"),
    ]:
        assert NOISE.build(json.loads(json.dumps(NOISE.describe(table)))) == table
        assert table.describe() == text


def test_a_search_file_can_fix_a_table_and_search_around_it() -> None:
    space = SearchSpace.from_mapping({"noise": {"tabulated": {"weights": [1, 2.5], "sigmas": None}}})
    (family,) = space.noise
    assert family.cls(**family.fixed) == Tabulated(weights=(1.0, 2.5))
    assert SearchSpace.from_mapping(json.loads(json.dumps(space.to_dict()))) == space
    with pytest.raises(ValueError, match=r"space\.noise\.tabulated\.weights: .* but got -1"):
        SearchSpace.from_mapping({"noise": {"tabulated": {"weights": [1, -1]}}})


def test_moving_between_bins_keeps_sums_and_small_values_beside_large_ones() -> None:
    values = np.array([1e-12, 1e12, 1e-12, 5.0])
    fine = rebinned(values, index_edges(4), index_edges(8))
    np.testing.assert_allclose(fine, values.repeat(2) / 2, rtol=1e-12)
    np.testing.assert_allclose(rebinned(fine, index_edges(8), index_edges(4)), values, rtol=1e-12)
    pairs = np.random.default_rng(0).random((7, 2))
    for num in (2, 3, 7, 50):
        moved = rebinned(pairs, index_edges(7), index_edges(num))
        assert moved.shape == (num, 2)
        np.testing.assert_allclose(moved.sum(axis=0), pairs.sum(axis=0))


# --- the statistics --------------------------------------------------------------------------------------


def test_moments_are_the_plain_mean_until_the_history_is_full() -> None:
    moments = LossMoments.none(2)
    for count, squares in [((3, 0), (6, 0)), ((1, 2), (10, 1)), ((0, 4), (0, 11))]:
        moments = moments.updated(doubles(*count), doubles(*squares), history=10)
    torch.testing.assert_close(moments.count_J, doubles(4, 6))
    torch.testing.assert_close(moments.second_moment_J, doubles(16 / 4, 12 / 6))


def test_a_full_history_forgets_as_many_draws_as_are_new() -> None:
    moments = LossMoments.none(1).updated(doubles(10), doubles(10 * 4.0), history=10)
    moments = moments.updated(doubles(5), doubles(5 * 2.0), history=10)
    assert moments.second_moment_J.item() == pytest.approx((5 * 4 + 5 * 2) / 10)
    moments = moments.updated(doubles(50), doubles(50 * 7.0), history=10)
    assert moments.second_moment_J.item() == pytest.approx(7)


def test_a_bin_without_draws_keeps_what_it_has() -> None:
    moments = LossMoments.none(2).updated(doubles(4, 4), doubles(8, 12), history=2)
    for _ in range(3):
        moments = moments.updated(doubles(4, 0), doubles(4, 0), history=2)
    assert moments.second_moment_J[1].item() == 3
    assert moments.count_J[1].item() == 4


@pytest.mark.parametrize("num_intervals", [1, 3, 10, 32, 100, 1280])
def test_every_number_of_intervals_tells_the_same_bins_the_same(num_intervals: int) -> None:
    """A constant moment is that constant in each bin, and no draw is lost, also with fewer intervals than bins."""
    count_M = torch.arange(1, num_intervals + 1, dtype=torch.float64)
    moments = LossMoments.none(32).updated(count_M, 2.5 * count_M, history=100)
    torch.testing.assert_close(moments.second_moment_J, torch.full((32,), 2.5, dtype=torch.float64))
    assert moments.count_J.sum().item() == pytest.approx(count_M.sum().item())


def test_a_change_of_n_keeps_the_history() -> None:
    """A moment that is a function of the index, seen at 16, then 64, then 256 intervals, stays that function."""
    moments = LossMoments.none(16)
    for num_intervals in (16, 64, 256):
        per_bin = num_intervals // 16
        squares_M = bell(16).repeat_interleave(per_bin) * 8
        moments = moments.updated(
            torch.full((num_intervals,), 8.0, dtype=torch.float64), squares_M, history=50
        )
        torch.testing.assert_close(moments.second_moment_J, bell(16))
    assert (moments.count_J == 8 * (1 + 4 + 16)).all()


# --- contract of every adaptive family -------------------------------------------------------------------


def ran(noise: AdaptiveNoise, second_moment_J: Tensor, times: int, sigma_N: Tensor) -> Tensor:
    state_S = noise.start()
    for _ in range(times):
        state_S = noise.adapted(state_S, second_moment_J, sigma_N)
    return state_S


@every_adaptive
def test_it_starts_with_its_interval_probabilities_and_says_so_as_numbers(name: str) -> None:
    noise = ADAPTIVE[name]()
    assert noise.ADAPTIVE
    for num_levels in (2, 11, 1281):
        sigma_N = KarrasGrid().sigmas(num_levels)
        found = noise.found(noise.start(), sigma_N)
        assert isinstance(found, Tabulated)
        assert torch.equal(found.interval_probabilities(sigma_N), noise.interval_probabilities(sigma_N))


@every_adaptive
@pytest.mark.parametrize("exponent", [0.0, 12.0, -40.0, 300.0])
def test_any_second_moment_leads_to_positive_probabilities(name: str, exponent: float) -> None:
    """Moments over up to 300 orders of magnitude, rising, falling, in one bin only, and zero."""
    noise = ADAPTIVE[name]()
    ramp_J = 10.0 ** (exponent * tensor_of(index_edges(noise.num_bins))[:-1])
    one_J = torch.zeros(noise.num_bins, dtype=torch.float64)
    one_J[5] = 10.0**exponent
    for moment_J in (ramp_J, ramp_J.flip(0), one_J, 0 * one_J):
        for grid in (KarrasGrid(), KarrasGrid(rho=2.0)):
            for num_levels in (2, 20, 1281):
                sigma_N = grid.sigmas(num_levels)
                p_M = noise.found(ran(noise, moment_J, 8, sigma_N), sigma_N).interval_probabilities(sigma_N)
                assert p_M.isfinite().all()
                assert (p_M > 0).all()
                assert p_M.sum().item() == pytest.approx(1, abs=1e-12)


@every_adaptive
def test_adapting_is_pure_and_does_not_know_the_scale_of_the_loss(name: str) -> None:
    noise, sigma_N = ADAPTIVE[name](), KarrasGrid().sigmas(41)
    state_S, moment_J = noise.start(), bell(noise.num_bins)
    before = state_S.clone(), moment_J.clone()
    first = noise.adapted(state_S, moment_J, sigma_N)
    assert torch.equal(state_S, before[0]) and torch.equal(moment_J, before[1])
    assert torch.equal(noise.adapted(state_S, moment_J, sigma_N), first)
    torch.testing.assert_close(noise.adapted(state_S, 1e6 * moment_J, sigma_N), first, rtol=1e-9, atol=1e-12)
    assert not first.requires_grad


@every_adaptive
def test_the_probabilities_move_towards_the_root_of_the_second_moment(name: str) -> None:
    noise, sigma_N = ADAPTIVE[name](), KarrasGrid().sigmas(1281)
    moment_J = bell(noise.num_bins)
    root_M = moment_J.sqrt().repeat_interleave(1280 // noise.num_bins)
    ideal_M = root_M / root_M.sum()
    start = total_variation(noise.interval_probabilities(sigma_N), ideal_M)
    found = noise.found(ran(noise, moment_J, 200, sigma_N), sigma_N)
    assert (
        total_variation(found.interval_probabilities(sigma_N), ideal_M) < start / 3
    )  # eight straight pieces cannot follow it closer


@every_adaptive
def test_importance_weights_are_an_option_and_the_default(name: str) -> None:
    p_M = doubles(0.5, 0.25, 0.25)
    noise = ADAPTIVE[name]()
    weight_M = noise.loss_weights(p_M)
    assert weight_M is not None
    torch.testing.assert_close(weight_M, 1 / (3 * p_M))
    without = dataclasses.replace(noise, importance_weights=False)
    assert without.loss_weights(p_M) is None
    sigma_N = KarrasGrid().sigmas(11)
    for each in (noise, without):
        assert each.found(each.start(), sigma_N).importance_weights is each.importance_weights


# --- loss second moment ----------------------------------------------------------------------------------


def test_second_moment_probabilities_are_the_published_formula() -> None:
    noise = LossSecondMoment(num_bins=4, uniform=0.1)
    moment_J = doubles(1.0, 4.0, 16.0, 0.0)
    state = noise.adapted(noise.start(), moment_J, KarrasGrid().sigmas(9))
    p_M = noise.found(state, KarrasGrid().sigmas(9)).interval_probabilities(KarrasGrid().sigmas(9))
    q_M = doubles(1, 1, 2, 2, 4, 4, 0, 0) / 14
    torch.testing.assert_close(p_M, 0.9 * q_M + 0.1 / 8)


def test_second_moment_depends_on_the_last_moments_only() -> None:
    noise, sigma_N = LossSecondMoment(), KarrasGrid().sigmas(21)
    elsewhere = noise.adapted(noise.start(), bell(32).flip(0) * 3 + 1, sigma_N)
    assert torch.equal(
        noise.adapted(elsewhere, bell(32), sigma_N), noise.adapted(noise.start(), bell(32), sigma_N)
    )


# --- learned ---------------------------------------------------------------------------------------------


def weighted_second_moment(p_M: Tensor, root_J: Tensor, num_bins: int) -> float:
    """E[L^2] of the importance-weighted loss over its least value: 1 + the squared spread of its roots."""
    q_J = p_M.view(num_bins, -1).sum(1)
    return (root_J**2 / q_J).sum().item() / root_J.sum().item() ** 2


def test_the_curve_starts_straight_which_is_log_uniform() -> None:
    sigma_N = KarrasGrid().sigmas(41)
    p_M = Learned().interval_probabilities(sigma_N)
    torch.testing.assert_close(p_M, sigma_N.log().diff() / math.log(80 / 0.002))


def test_each_piece_of_the_curve_has_the_same_mass_and_the_curve_is_monotone() -> None:
    noise, sigma_N = Learned(knots=6), KarrasGrid().sigmas(1281)
    found = noise.found(ran(noise, bell(32), 50, sigma_N), sigma_N)
    assert found.weights == (1.0,) * 6
    assert found.sigmas is not None
    assert list(found.sigmas) == sorted(set(found.sigmas))
    assert (found.sigmas[0], found.sigmas[-1]) == (0.002, 80.0)


@pytest.mark.parametrize("rho", [2.0, 7.0, 12.0])
def test_each_update_brings_the_weighted_second_moment_down(rho: float) -> None:
    noise, sigma_N = Learned(curvature=0.0), KarrasGrid(rho=rho).sigmas(1281)
    root_J = bell(32, 20.0).sqrt()
    state, values = noise.start(), []
    for _ in range(40):
        p_M = noise.found(state, sigma_N).interval_probabilities(sigma_N)
        values.append(weighted_second_moment(p_M, root_J, 32))
        state = noise.adapted(state, root_J**2, sigma_N)
    assert all(after <= before for before, after in itertools.pairwise(values))
    assert values[0] > 1.5
    assert values[-1] < 1 + (values[0] - 1) / 5


def test_a_moment_that_a_curve_can_follow_is_followed() -> None:
    """Known answer: the root of the moment is the density of a curve of 4 pieces, which is then found."""
    noise = Learned(knots=4, num_bins=64, curvature=0.0)
    grid = KarrasGrid(rho=100.0)  # nearly log-spaced: bins of the index are bins of ln sigma
    sigma_N = grid.sigmas(1281)
    target = noise.found(doubles(0.5, -0.5, -0.2, 0.7), sigma_N)
    q_J = target.interval_probabilities(grid.sigmas(65))
    state = ran(noise, q_J**2, 150, sigma_N)
    p_M = noise.found(state, sigma_N).interval_probabilities(sigma_N)
    assert total_variation(p_M, target.interval_probabilities(sigma_N)) < 0.02
    assert weighted_second_moment(p_M, q_J, 64) < 1.002


def test_the_penalty_keeps_the_curve_straight() -> None:
    sigma_N = KarrasGrid().sigmas(1281)

    def bend(curvature: float) -> float:
        noise = Learned(curvature=curvature)
        return ran(noise, bell(32), 100, sigma_N).diff().abs().max().item()

    assert bend(1e-3) > 5 * bend(10.0) > 0


def test_adaptive_families_are_searched_in_every_curriculum_and_survive_json() -> None:
    for name in ADAPTIVE:
        assert name in {family.prefix for family in SearchSpace.from_mapping(None).noise}
        for curriculum in CURRICULA.values():
            schedule = NoiseSchedule(grid=KarrasGrid(), noise=NOISE[name](), curriculum=curriculum())
            assert NoiseSchedule.from_dict(json.loads(json.dumps(schedule.to_dict()))) == schedule
            assert all((stage.probability_M > 0).any() for stage in schedule.stages(50))
