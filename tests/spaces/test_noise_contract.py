"""Every noise family in spaces/noise/, the ones dropped in later included, keeps these promises."""

import dataclasses
import inspect
import json
import math
import pickle

import numpy as np
import pytest
import torch

from spaces import CURRICULA, GRIDS, NOISE, KarrasGrid, NoiseDistribution, SearchSpace
from spaces.arrays import Array, array_of, tensor_of
from spaces.noise_distribution import Law

EVERYTHING = SearchSpace.from_mapping({"noise": dict.fromkeys(NOISE)})
CORNERS = {
    family.prefix: [family.cls(**options) for options in family.corners()] for family in EVERYTHING.noise
}
EXTREME_GRIDS = [
    KarrasGrid(rho=1.0),
    KarrasGrid(rho=100.0, sigma_min=1e-6, sigma_max=1e6),
    KarrasGrid(sigma_min=500.0, sigma_max=1000.0),
    KarrasGrid(sigma_min=1e-6, sigma_max=1e-4),
]

every_family = pytest.mark.parametrize("name", list(NOISE))


def all_num_levels() -> list[int]:
    """The N that the curricula give at the corners of their spaces: all small ones, a tenth of those from 40 on."""
    step_K = np.arange(400, dtype=np.int64)
    found = {2, 3}
    for family in EVERYTHING.curriculum:
        for options in family.corners():
            found |= set(family.cls(**options).num_levels(step_K, 400).tolist())
    ordered = sorted(found)
    return [*(n for n in ordered if n < 40), *[n for n in ordered if n >= 40][::10], ordered[-1]]


def assert_probabilities(probability_M: torch.Tensor, num_intervals: int) -> None:
    assert probability_M.dtype == torch.float64
    assert probability_M.shape == (num_intervals,)
    assert torch.isfinite(probability_M).all()
    assert (probability_M >= 0).all()
    assert abs(probability_M.sum().item() - 1) < 1e-12


@pytest.mark.parametrize("rho", [2.0, 7.0, 12.0])
@every_family
def test_probabilities_are_finite_non_negative_and_sum_to_1_at_every_corner_and_every_n(
    name: str, rho: float
) -> None:
    sigmas = [KarrasGrid(rho=rho).sigmas(num_levels) for num_levels in all_num_levels()]
    for noise in [NOISE[name](), *CORNERS[name]]:
        for sigma_N in sigmas:
            assert_probabilities(noise.interval_probabilities(sigma_N), len(sigma_N) - 1)


@every_family
def test_probabilities_hold_on_grids_far_from_the_usual_one(name: str) -> None:
    for noise in [NOISE[name](), *CORNERS[name]]:
        for grid in EXTREME_GRIDS:
            for num_levels in (2, 20, 1281, 16_385):
                sigma_N = grid.sigmas(num_levels)
                if has_no_mass_on(noise, sigma_N):
                    with pytest.raises(ValueError, match="has no mass that float64 can tell from 0 between"):
                        noise.interval_probabilities(sigma_N)
                    continue
                assert_probabilities(noise.interval_probabilities(sigma_N), num_levels - 1)


@np.errstate(divide="ignore")
def has_no_mass_on(noise: NoiseDistribution, sigma_N: torch.Tensor) -> bool:
    """Whether a law of bounded support, as VP's, lies wholly below or above the grid."""
    if not isinstance(noise, Law):
        return False
    log_cdf_2, log_sf_2 = noise.tails(noise.coordinate(sigma_N.numpy())[[0, -1]])
    return bool(log_cdf_2[1] == -math.inf or log_sf_2[0] == -math.inf)


def cdf_of(law: Law, x_N: Array) -> Array:
    """Of a law that is written in either way."""
    return array_of(law.cdf(tensor_of(x_N) if law.TENSORS else x_N))


@pytest.mark.parametrize(
    "name",
    ["cosine", "cosine_scaled", "cosine_shifted", "logsnr_cauchy", "logsnr_laplace", "lognormal"],
)
def test_an_unbounded_law_has_mass_everywhere(name: str) -> None:
    """So that a law which underflows does not pass above as a bounded one."""
    for noise in [NOISE[name](), *CORNERS[name]]:
        assert not any(has_no_mass_on(noise, grid.sigmas(2)) for grid in EXTREME_GRIDS)


@every_family
def test_probabilities_are_the_differences_of_the_cdf_divided_by_their_sum(name: str) -> None:
    """The definition, without the logarithms of the implementation."""
    for noise in [NOISE[name](), *CORNERS[name]]:
        if isinstance(noise, Law):
            for num_levels in (2, 20, 1281):
                sigma_N = KarrasGrid().sigmas(num_levels)
                cdf_N = cdf_of(noise, noise.coordinate(sigma_N.numpy()))
                assert (np.diff(cdf_N) >= 0).all()
                assert cdf_N[0] >= 0
                assert cdf_N[-1] <= 1
                expected_M = np.diff(cdf_N) / (cdf_N[-1] - cdf_N[0])
                measured_M = noise.interval_probabilities(sigma_N).numpy()
                np.testing.assert_allclose(measured_M, expected_M, rtol=0, atol=1e-12)


@every_family
def test_both_tails_in_logs_agree_with_the_cdf(name: str) -> None:
    for noise in [NOISE[name](), *CORNERS[name]]:
        if isinstance(noise, Law):
            x_N = noise.coordinate(KarrasGrid().noise_levels(20))[1:-1]
            log_cdf_N, log_sf_N = noise.tails(x_N)
            np.testing.assert_allclose(np.exp(log_cdf_N), cdf_of(noise, x_N), rtol=1e-12, atol=1e-14)
            np.testing.assert_allclose(np.exp(log_sf_N), 1 - cdf_of(noise, x_N), rtol=0, atol=1e-14)


@every_family
def test_json_and_pickle_give_the_equal_family_back(name: str) -> None:
    for noise in [NOISE[name](), *CORNERS[name]]:
        again = NOISE.build(json.loads(json.dumps(NOISE.describe(noise))))
        assert again == noise
        assert hash(again) == hash(noise)
        assert pickle.loads(pickle.dumps(noise)) == noise


@every_family
def test_options_are_frozen_documented_and_bounded(name: str) -> None:
    assert_a_good_choice(NOISE[name])
    assert issubclass(NOISE[name], NoiseDistribution)


@pytest.mark.parametrize("name", list(CURRICULA))
def test_curriculum_options_are_frozen_documented_and_bounded(name: str) -> None:
    assert_a_good_choice(CURRICULA[name])


@pytest.mark.parametrize("name", list(GRIDS))
def test_grid_options_are_frozen_documented_and_bounded(name: str) -> None:
    assert_a_good_choice(GRIDS[name])


def assert_a_good_choice(cls: type) -> None:
    first_line = (inspect.getdoc(cls) or "").partition("\n")[0]
    assert first_line.endswith("."), f"{cls.__name__}: the first line of the docstring is what `list` prints"
    assert "arXiv:" in first_line or "doi:" in first_line, f"{cls.__name__}: the first line cites the source"
    fields = {field.name: field for field in dataclasses.fields(cls)}
    assert set(cls.SPACE) <= set(fields)
    assert set(cls.BOUNDS) <= set(fields)
    for option, (low, high) in cls.BOUNDS.items():
        for outside in (low - 1, high + 1, float("nan")):
            with pytest.raises(ValueError, match=f"{option}="):
                cls(**{option: outside})
    for option, field in fields.items():
        assert field.default is not dataclasses.MISSING, f"{option}: needs a default"
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(cls(), option, field.default)
