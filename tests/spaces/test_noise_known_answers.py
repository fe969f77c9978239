"""The four families against textbook formulas and against the table of where their mass lies."""

import numpy as np
import pytest
import scipy.stats
import torch

from spaces import KarrasGrid, NoiseDistribution
from spaces.noise.lognormal import LogNormal
from spaces.noise.logsnr_laplace import LogSNRLaplace
from spaces.noise.polynomial import Polynomial
from spaces.noise.uniform import Uniform

BANDS = [0.002, 0.02, 0.1, 0.5, 1, 5, 20, 40, 80]

# Share in % of student levels (the upper end of the interval) by band of sigma, rho 7, and the median.
# The polynomial's row was counted on the 256 draws of one batch, floor((j/255)**4 * 19).
TABLE = [
    (LogNormal(p_mean=-1.1, p_std=2.0), 20, [6.9, 20.0, 25.9, 11.6, 27.0, 6.3, 1.5, 0.83], 0.38),
    (LogNormal(p_mean=-1.1, p_std=2.0), 1281, [7.5, 19.6, 30.9, 13.0, 20.6, 6.8, 1.2, 0.53], 0.34),
    (LogNormal(p_mean=-1.0, p_std=1.4), 1281, [1.8, 15.7, 41.0, 17.7, 20.7, 2.9, 0.18, 0.03], 0.37),
    (Polynomial(degree=4.0), 20, [57.0, 10.6, 7.4, 2.7, 9.4, 5.5, 3.1, 4.3], 0.018),
    (LogSNRLaplace(mu=0.0, b=0.5, sigma_data=1.0), 1281, [0, 0, 3.1, 46.3, 50.6, 0.08, 0, 0], 1.0),
    (Uniform(), 1281, [10.9, 10.2, 12.7, 6.5, 17.7, 18.9, 10.9, 12.1], 2.5),
]


@pytest.mark.parametrize(("noise", "num_levels", "shares", "median"), TABLE)
def test_mass_by_band_of_sigma(
    noise: NoiseDistribution, num_levels: int, shares: list[float], median: float
) -> None:
    sigma_N = KarrasGrid(rho=7.0).sigmas(num_levels)
    percent_M = 100 * noise.interval_probabilities(sigma_N).numpy()
    student_M = sigma_N[1:].numpy()
    band_M = np.searchsorted(BANDS, student_M, side="left") - 1
    measured = np.bincount(band_M, weights=percent_M, minlength=len(shares))
    one_draw = 100 / 256 if isinstance(noise, Polynomial) else 0.0
    for value, share in zip(measured, shares, strict=True):
        rounding = 0.006 if share < 1 else 0.06  # of the table
        assert value == pytest.approx(share, abs=rounding + one_draw)
    measured_median = student_M[np.searchsorted(np.cumsum(percent_M), 50)]
    assert measured_median == pytest.approx(median, rel=0.05)


@pytest.mark.parametrize("num_levels", [2, 11, 20, 1281])
@pytest.mark.parametrize("rho", [2.0, 7.0, 12.0])
@pytest.mark.parametrize(
    ("noise", "law"),
    [
        (LogNormal(p_mean=-3.0, p_std=0.5), scipy.stats.lognorm(s=0.5, scale=np.exp(-3.0))),
        (LogNormal(p_mean=1.0, p_std=3.0), scipy.stats.lognorm(s=3.0, scale=np.exp(1.0))),
        # logSNR = 2 ln(a/sigma) ~ Laplace(mu, b) is ln sigma ~ Laplace(ln a - mu/2, b/2)
        (LogSNRLaplace(mu=4.0, b=0.5), scipy.stats.laplace(loc=np.log(0.5) - 2.0, scale=0.25)),
        (LogSNRLaplace(mu=-6.0, b=6.0), scipy.stats.laplace(loc=np.log(0.5) + 3.0, scale=3.0)),
    ],
)
def test_laws_over_sigma_equal_scipy_truncated_to_the_grid(
    noise: NoiseDistribution, law: scipy.stats.distributions.rv_frozen, rho: float, num_levels: int
) -> None:
    sigma_N = KarrasGrid(rho=rho).sigmas(num_levels)
    x_N = sigma_N.log().numpy() if isinstance(noise, LogSNRLaplace) else sigma_N.numpy()
    below_M, above_M = np.diff(law.cdf(x_N)), -np.diff(law.sf(x_N))
    expected_M = np.where(law.cdf(x_N[1:]) < 0.5, below_M, above_M)
    expected_M /= expected_M.sum()
    measured_M = noise.interval_probabilities(sigma_N).numpy()
    np.testing.assert_allclose(measured_M, expected_M, rtol=1e-8, atol=1e-300)


@pytest.mark.parametrize("num_levels", [2, 20, 1281])
@pytest.mark.parametrize("degree", [0.2, 1.0, 2.5, 4.0, 6.0])
def test_polynomial_is_beta_on_the_index(degree: float, num_levels: int) -> None:
    u_N = np.arange(num_levels) / (num_levels - 1)
    expected_M = np.diff(scipy.stats.beta(1 / degree, 1).cdf(u_N))
    measured_M = Polynomial(degree=degree).interval_probabilities(KarrasGrid().sigmas(num_levels)).numpy()
    np.testing.assert_allclose(measured_M, expected_M, rtol=1e-9, atol=1e-15)


def test_polynomial_equals_the_published_index_formula_within_one_draw_of_a_batch() -> None:
    """index = floor((j/(B-1))**degree * M) for the batch positions j, here without jitter."""
    batch, num_levels = 256, 20
    index_B = np.floor((np.arange(batch) / (batch - 1)) ** 4 * (num_levels - 1)).clip(max=num_levels - 2)
    counted_M = np.bincount(index_B.astype(int), minlength=num_levels - 1) / batch
    measured_M = Polynomial(degree=4.0).interval_probabilities(KarrasGrid().sigmas(num_levels)).numpy()
    np.testing.assert_allclose(np.cumsum(measured_M), np.cumsum(counted_M), rtol=0, atol=1 / batch)


def test_polynomial_of_degree_1_is_uniform() -> None:
    sigma_N = KarrasGrid().sigmas(1281)
    uniform_M = Uniform().interval_probabilities(sigma_N)
    torch.testing.assert_close(Polynomial(degree=1.0).interval_probabilities(sigma_N), uniform_M)
    torch.testing.assert_close(uniform_M, torch.full_like(uniform_M, 1 / 1280), rtol=1e-10, atol=0)


def test_laplace_peaks_where_logsnr_is_mu_not_where_ln_sigma_is() -> None:
    sigma_N = KarrasGrid().sigmas(1281)
    noise = LogSNRLaplace(mu=2.0, b=0.5, sigma_data=0.5)
    cdf_N = noise.cdf(sigma_N)
    median = sigma_N[int((cdf_N < 0.5).sum())].item()
    assert median == pytest.approx(0.5 * np.exp(-1.0), rel=0.01)


@pytest.mark.parametrize(
    "noise",
    [
        LogNormal(p_mean=-100.0, p_std=0.001),
        LogNormal(p_mean=100.0, p_std=0.001),
        LogSNRLaplace(mu=100.0, b=0.001),
        LogSNRLaplace(mu=-100.0, b=0.001),
    ],
)
def test_a_law_far_outside_the_grid_is_truncated_to_the_nearest_interval(noise: NoiseDistribution) -> None:
    probability_M = noise.interval_probabilities(KarrasGrid().sigmas(20))
    end = 0 if noise in (LogNormal(p_mean=-100.0, p_std=0.001), LogSNRLaplace(mu=100.0, b=0.001)) else -1
    assert probability_M[end].item() == pytest.approx(1.0, abs=1e-12)
    assert probability_M.sum().item() == pytest.approx(1.0, abs=1e-12)


def test_the_exponential_tail_of_laplace_outside_the_grid_is_exact() -> None:
    """Memoryless: far below the peak p_i ~ sigma_{i+1}**(2/b) - sigma_i**(2/b), whatever mu is."""
    sigma_N = KarrasGrid().sigmas(20)
    expected_M = (sigma_N / 80.0).pow(2 / 0.5).diff()
    for mu in (-20.0, -100.0):
        measured_M = LogSNRLaplace(mu=mu, b=0.5).interval_probabilities(sigma_N)
        torch.testing.assert_close(measured_M, expected_M / expected_M.sum(), rtol=1e-9, atol=0)
