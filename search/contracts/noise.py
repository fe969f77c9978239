import math
from functools import cache

import numpy as np
import torch
from torch import Tensor

from search.contracts._promise import Promise, good_options, need, plain_data
from spaces import NOISE, KarrasGrid, NoiseDistribution, SearchSpace
from spaces.arrays import Array, array_of, tensor_of
from spaces.noise_distribution import Law

EXTREME_GRIDS = [
    KarrasGrid(rho=1.0),
    KarrasGrid(rho=100.0, sigma_min=1e-6, sigma_max=1e6),
    KarrasGrid(sigma_min=500.0, sigma_max=1000.0),
    KarrasGrid(sigma_min=1e-6, sigma_max=1e-4),
]


def instances(name: str) -> list[NoiseDistribution]:
    """At its defaults, and at every corner of its space."""
    (family,) = SearchSpace.from_mapping({"noise": {name: None}, "curriculum": {"constant": None}}).noise
    return [NOISE[name](), *(NOISE[name](**options) for options in family.corners())]


@cache
def all_num_levels() -> list[int]:
    """The N that our curricula give at the corners of their spaces: all small ones, a tenth of those from 40 on."""
    step_K = np.arange(400, dtype=np.int64)
    found = {2, 3}
    for family in SearchSpace.from_mapping({"noise": {"lognormal": None}}).curriculum:
        for options in family.corners():
            found |= set(family.cls(**options).num_levels(step_K, 400).tolist())
    ordered = sorted(found)
    return [*(n for n in ordered if n < 40), *[n for n in ordered if n >= 40][::10], ordered[-1]]


def need_probabilities(probability_M: Tensor, num_intervals: int, where: str) -> None:
    need(
        probability_M.dtype == torch.float64 and probability_M.shape == (num_intervals,),
        f"{num_intervals} float64 are needed {where}, but there are {probability_M.dtype} {tuple(probability_M.shape)}",
    )
    is_good = torch.isfinite(probability_M).all() and (probability_M >= 0).all()
    need(is_good, f"probabilities must be finite and >= 0, but are not {where}")
    total = probability_M.sum().item()
    need(abs(total - 1) < 1e-12, f"probabilities must sum to 1, but sum to {total!r} {where}")


def probabilities_at_every_corner_and_every_n(name: str) -> None:
    for rho in (2.0, 7.0, 12.0):
        for num_levels in all_num_levels():
            sigma_N = KarrasGrid(rho=rho).sigmas(num_levels)
            for noise in instances(name):
                where = f"of {noise.describe()} on {num_levels} levels with rho {rho:g}"
                need_probabilities(noise.interval_probabilities(sigma_N), num_levels - 1, where)


@np.errstate(divide="ignore")
def has_no_mass_on(noise: NoiseDistribution, sigma_N: Tensor) -> bool:
    """Whether a law of bounded support, as VP's, lies wholly below or above the grid."""
    if not isinstance(noise, Law):
        return False
    log_cdf_2, log_sf_2 = noise.tails(noise.coordinate(sigma_N.numpy())[[0, -1]])
    return bool(log_cdf_2[1] == -math.inf or log_sf_2[0] == -math.inf)


def cdf_of(law: Law, x_N: Array) -> Array:
    """Of a law that is written in either way."""
    return array_of(law.cdf(tensor_of(x_N) if law.TENSORS else x_N))


def probabilities_on_grids_far_from_the_usual_one(name: str) -> None:
    for noise in instances(name):
        for grid in EXTREME_GRIDS:
            for num_levels in (2, 20, 1281, 16_385):
                sigma_N = grid.sigmas(num_levels)
                where = f"of {noise.describe()} on {num_levels} levels of {grid.describe()}"
                if has_no_mass_on(noise, sigma_N):
                    _needs_refusal(noise, sigma_N, where)
                else:
                    need_probabilities(noise.interval_probabilities(sigma_N), num_levels - 1, where)


def _needs_refusal(noise: NoiseDistribution, sigma_N: Tensor, where: str) -> None:
    message = ""
    try:
        noise.interval_probabilities(sigma_N)
    except ValueError as error:
        message = str(error)
    need("has no mass that float64 can tell from 0 between" in message, f"nothing is refused {where}")


def probabilities_are_the_differences_of_the_cdf(name: str) -> None:
    """Divided by their sum: the definition, without the logarithms of the implementation."""
    for noise in instances(name):
        if not isinstance(noise, Law):
            continue
        for num_levels in (2, 20, 1281):
            sigma_N = KarrasGrid().sigmas(num_levels)
            cdf_N = cdf_of(noise, noise.coordinate(sigma_N.numpy()))
            where = f"for {noise.describe()} on {num_levels} levels"
            need((np.diff(cdf_N) >= 0).all(), f"cdf must not fall, but does {where}")
            need(cdf_N[0] >= 0 and cdf_N[-1] <= 1, f"cdf must lie in [0, 1], but does not {where}")
            expected_M = np.diff(cdf_N) / (cdf_N[-1] - cdf_N[0])
            error = np.abs(noise.interval_probabilities(sigma_N).numpy() - expected_M).max()
            need(error <= 1e-12, f"probabilities are not the differences of cdf (up to {error:g}) {where}")


def both_tails_in_logs_agree_with_the_cdf(name: str) -> None:
    for noise in instances(name):
        if isinstance(noise, Law):
            x_N = noise.coordinate(KarrasGrid().noise_levels(20))[1:-1]
            cdf_N, (log_cdf_N, log_sf_N) = cdf_of(noise, x_N), noise.tails(x_N)
            lower = np.allclose(np.exp(log_cdf_N), cdf_N, rtol=1e-12, atol=1e-14)
            upper = np.allclose(np.exp(log_sf_N), 1 - cdf_N, rtol=0, atol=1e-14)
            need(lower, f"exp(log_cdf) is not cdf for {noise.describe()}")
            need(upper, f"exp(log_sf) is not 1 - cdf for {noise.describe()}")


def it_is_plain_data(name: str) -> None:
    for noise in instances(name):
        plain_data(NOISE, noise)
        need(hash(NOISE.build(NOISE.describe(noise))) == hash(noise), f"equal {name} have two hashes")


def options_are_frozen_documented_and_bounded(name: str) -> None:
    good_options(NOISE[name])


PROMISES: tuple[Promise, ...] = (
    options_are_frozen_documented_and_bounded,
    it_is_plain_data,
    probabilities_at_every_corner_and_every_n,
    probabilities_on_grids_far_from_the_usual_one,
    probabilities_are_the_differences_of_the_cdf,
    both_tails_in_logs_agree_with_the_cdf,
)
