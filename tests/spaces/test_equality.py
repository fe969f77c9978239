"""Schedules that train the same are one schedule, however they are written."""

import dataclasses
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
import pytest
import torch

from spaces import GRIDS, PRESETS, NoiseSchedule, SearchSpace
from spaces.equality import distance, distances, equal, features, sketch, total_variation
from spaces.noise.lognormal import LogNormal

optuna.logging.set_verbosity(optuna.logging.WARNING)

K = 2000


def schedule(
    noise: dict[str, Any], curriculum: dict[str, Any], grid: dict[str, Any] | None = None, floor: float = 0.0
) -> NoiseSchedule:
    return NoiseSchedule.from_dict(
        {"grid": grid or {}, "noise": noise, "curriculum": curriculum, "uniform_floor": floor}
    )


ICT = {"name": "exponential"}
TWENTY = {"name": "constant", "levels": 20}
UNIFORM = {"name": "uniform"}
LOGNORMAL = {"name": "lognormal"}

SAME = [
    (schedule(UNIFORM, ICT), schedule({"name": "beta", "a": 1.0, "b": 1.0}, ICT)),
    (schedule(UNIFORM, ICT), schedule({"name": "polynomial", "degree": 1.0}, ICT)),
    *(
        (
            schedule({"name": "polynomial", "degree": degree}, ICT),
            schedule({"name": "beta", "a": 1 / degree, "b": 1.0}, ICT),
        )
        for degree in (0.3, 2.5, 4.0, 6.0)
    ),
    (
        schedule(LOGNORMAL, {"name": "exponential", "s0": 19, "doublings": 0}),
        schedule(LOGNORMAL, TWENTY),
    ),
    (
        schedule(LOGNORMAL, {"name": "sinusoidal", "s0": 19, "s1": 250, "amplitude": 0}),
        schedule(LOGNORMAL, TWENTY),
    ),
    (
        schedule({"name": "cosine"}, TWENTY),
        schedule({"name": "cosine_shifted", "mu": 0.0}, TWENTY),
    ),
    (
        schedule({"name": "cosine"}, TWENTY),
        schedule({"name": "cosine_scaled", "s": 1.0}, TWENTY),
    ),
    (  # moving the signal is moving the peak
        schedule({"name": "logsnr_laplace", "mu": 0.0, "sigma_data": 0.5}, TWENTY),
        schedule({"name": "logsnr_laplace", "mu": -2 * np.log(0.5), "sigma_data": 1.0}, TWENTY),
    ),
    (schedule(LOGNORMAL, ICT), schedule(LOGNORMAL, ICT, {"name": "karras_master"})),
    (schedule(UNIFORM, ICT, floor=0.2), schedule(UNIFORM, ICT)),
    (schedule(UNIFORM, {"name": "snr_timestep", "levels": 20}), schedule(UNIFORM, TWENTY)),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_one_schedule_written_in_two_ways_is_recognised(one: NoiseSchedule, other: NoiseSchedule) -> None:
    assert one != other
    assert equal(one, other, K)
    assert distance(one, other, K) < 1e-5  # float32


DIFFERENT = [
    (schedule(LOGNORMAL, ICT), schedule({"name": "lognormal", "p_mean": -0.8}, ICT)),
    (schedule(LOGNORMAL, ICT), schedule(LOGNORMAL, ICT, floor=0.05)),
    # The same law over ln sigma, but other pairs: N, the grid between the same ends.
    (schedule(LOGNORMAL, TWENTY), schedule(LOGNORMAL, {"name": "constant", "levels": 21})),
    (schedule(LOGNORMAL, ICT, {"rho": 7.0}), schedule(LOGNORMAL, ICT, {"rho": 5.0})),
    # The same stages in another order, or of another length.
    (
        schedule(LOGNORMAL, {"name": "difficulty_clusters", "order": "easy_to_hard"}),
        schedule(LOGNORMAL, {"name": "difficulty_clusters", "order": "hard_to_easy"}),
    ),
    (
        schedule(LOGNORMAL, {"name": "difficulty_clusters", "fraction": 0.5}),
        schedule(LOGNORMAL, {"name": "difficulty_clusters", "fraction": 0.6}),
    ),
    (schedule(LOGNORMAL, ICT), schedule(LOGNORMAL, {"name": "exponential", "doublings": 6})),
    (schedule(LOGNORMAL, ICT), schedule(LOGNORMAL, ICT, {"sigma_max": 70.0})),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_training_is_not_taken_for_equal(one: NoiseSchedule, other: NoiseSchedule) -> None:
    assert not equal(one, other, K)
    assert not equal(other, one, K)


def test_n_counts_with_its_relative_difference() -> None:
    for one, other in [(20, 21), (200, 202), (640, 641), (20, 640)]:
        pair = [schedule(LOGNORMAL, {"name": "constant", "levels": levels}) for levels in (one, other)]
        expected = 1 - (one - 1) / (other - 1)
        # For far N, what the laws differ by within the wide intervals may be more.
        assert distance(*pair, K) == pytest.approx(expected, abs=1e-3)


def test_the_distance_of_two_laws_on_one_grid_is_their_total_variation() -> None:
    for options in ({"p_mean": -1.0}, {"p_std": 1.0}, {"p_mean": 1.0, "p_std": 0.5}):
        pair = [
            schedule({"name": "lognormal", **one}, {"name": "constant", "levels": 20})
            for one in ({}, options)
        ]
        p_M, q_M = (one.stages(K)[0].probability_M for one in pair)
        assert distance(*pair, K) == pytest.approx(0.5 * (p_M - q_M).abs().sum().item(), rel=0.02)


SPIKES = [
    {"name": "tabulated", "weights": [1.0], "sigmas": [low, low + 0.001]} for low in (0.51, 0.511, 0.53)
]


@pytest.mark.parametrize("grid", [{}, {"rho": 7.0001}])
def test_what_lies_in_one_bin_of_ln_sigma_is_told_apart_too(grid: dict[str, Any]) -> None:
    many = {"name": "constant", "levels": 1281}
    here, there = schedule(SPIKES[0], many), schedule(SPIKES[2], many, grid)
    assert distance(here, there, K) < 0.01  # .51 and .53 are in one
    assert total_variation(here, there, K) == pytest.approx(1.0, abs=1e-9)
    assert not equal(here, there, K)
    assert equal(here, schedule(SPIKES[0], many), K)


def test_on_the_same_levels_it_is_the_total_variation_of_the_interval_probabilities() -> None:
    ict = schedule(LOGNORMAL, ICT)
    for other in (schedule(UNIFORM, ICT), schedule({"name": "cosine"}, ICT), schedule(SPIKES[1], ICT)):
        pairs = zip(ict.stages(K), other.stages(K), strict=True)
        expected = [0.5 * (a.probability_M - b.probability_M).abs().sum().item() for a, b in pairs]
        assert total_variation(ict, other, K) == pytest.approx(np.mean(expected), rel=1e-9)


def test_total_variation_goes_by_the_time_that_laws_differ() -> None:
    """The noisier half of the mass alone for 30 % of the run."""
    clusters = {"name": "difficulty_clusters", "num_clusters": 2, "fraction": 0.6}
    first_M, all_M = (stage.probability_M for stage in schedule(LOGNORMAL, clusters).stages(1000))
    expected = 0.3 * 0.5 * (first_M - all_M).abs().sum().item()
    found = total_variation(schedule(LOGNORMAL, clusters), schedule(LOGNORMAL, TWENTY), 1000)
    assert found == pytest.approx(expected, rel=1e-9)


def proposals(num: int) -> list[NoiseSchedule]:
    space = SearchSpace.from_mapping({"grid": dict.fromkeys(GRIDS), "uniform_floor": {"low": 0, "high": 0.2}})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    return [space.suggest(study.ask()) for _ in range(num)]


def test_random_proposals_are_all_different_and_equal_to_themselves() -> None:
    drawn = proposals(40)
    rows = np.stack([features(one, K) for one in drawn])
    for place, one in enumerate(drawn):
        found = distances(rows[place], rows)
        assert found[place] == 0
        assert (np.delete(found, place) > 0.01).all()
        again = NoiseSchedule.from_dict(one.to_dict())
        assert equal(one, again, K)


def test_it_is_a_metric_between_0_and_1() -> None:
    drawn = proposals(12)
    rows = np.stack([features(one, K) for one in drawn])
    between = np.stack([distances(row, rows) for row in rows])
    np.testing.assert_allclose(between, between.T, atol=1e-6)
    assert between.min() >= 0
    assert between.max() <= 1 + 1e-6
    for i, j, k in itertools.permutations(range(len(drawn)), 3):
        assert between[i, j] <= between[i, k] + between[k, j] + 1e-6


@pytest.mark.parametrize("total_steps", [1, 5, 33, 2000, 400_000])
def test_features_keep_all_mass_and_all_intervals_for_every_budget(total_steps: int) -> None:
    for preset in ("ict", "ct", "kim_clusters"):
        found = features(PRESETS[preset].schedule, total_steps)
        mass_S, intervals_S = found[:-2].reshape(32, 2, -1).sum(axis=2).T
        np.testing.assert_allclose(mass_S, 1, atol=1e-5)
        levels_K = PRESETS[preset].schedule.curriculum.num_levels(np.arange(total_steps), total_steps)
        assert intervals_S.mean() == pytest.approx(levels_K.mean() - 1, rel=1e-4)
        assert not found.flags.writeable


@dataclass(frozen=True, kw_only=True)
class _Adaptive(LogNormal):
    ADAPTIVE = True


@dataclass(frozen=True, kw_only=True)
class _Weighted(LogNormal):
    def loss_weights(self, probability_M: torch.Tensor) -> torch.Tensor:
        return 1 / (len(probability_M) * probability_M)


def test_an_adaptive_family_is_equal_to_itself_only() -> None:
    plain = schedule(LOGNORMAL, TWENTY)
    adaptive = dataclasses.replace(plain, noise=_Adaptive())
    assert equal(adaptive, dataclasses.replace(plain, noise=_Adaptive()), K)
    assert distance(adaptive, plain, K) == 1
    assert distance(adaptive, dataclasses.replace(plain, noise=_Adaptive(p_mean=-1.1001)), K) == 1


def test_adaptive_families_are_told_apart_whatever_their_checksums(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zlib.crc32", lambda data: 7)
    moments = [
        schedule({"name": "loss_second_moment", "history": history}, {"name": "constant", "levels": 23})
        for history in (300, 301)
    ]
    assert distance(*moments, K) == 0
    assert not equal(*moments, K)
    assert equal(moments[0], moments[0], K)


def test_importance_weights_make_another_training() -> None:
    plain = schedule(LOGNORMAL, TWENTY)
    weighted = dataclasses.replace(plain, noise=_Weighted())
    assert distance(weighted, plain, K) == 1
    assert equal(weighted, dataclasses.replace(plain, noise=_Weighted(p_mean=-1.1001)), K)


def test_sketches_never_differ_more_than_the_schedules() -> None:
    schedules = [preset.schedule for preset in PRESETS.values()]
    sketches = [sketch(features(schedule, K)) for schedule in schedules]
    gaps = []
    for (one, a), (other, b) in itertools.combinations(zip(schedules, sketches, strict=True), 2):
        bound = np.abs(a - b).sum() / 2
        gaps.append(bound)
        assert bound <= distance(one, other, K) + 1e-5
    assert np.median(gaps) > 0.1  # and tell most of them apart
