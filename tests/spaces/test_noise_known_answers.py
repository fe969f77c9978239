"""The families against textbook formulas, simulations, and the table of where their mass lies."""

import itertools
import math
from functools import partial

import mpmath
import numpy as np
import pytest
import scipy.stats
import torch
from mpmath import mp

from spaces import KarrasGrid, NoiseDistribution
from spaces.noise import beta_minmax
from spaces.noise.beta import Beta
from spaces.noise.beta_minmax import BetaMinMax
from spaces.noise.cosine import Cosine
from spaces.noise.cosine_scaled import CosineScaled
from spaces.noise.cosine_shifted import CosineShifted
from spaces.noise.log_student_t import LogStudentT
from spaces.noise.log_uniform import LogUniform
from spaces.noise.lognormal import LogNormal
from spaces.noise.logsnr_cauchy import LogSNRCauchy
from spaces.noise.logsnr_laplace import LogSNRLaplace
from spaces.noise.polynomial import Polynomial
from spaces.noise.polynomial_jittered import PolynomialJittered
from spaces.noise.uniform import Uniform
from spaces.noise.vp_linear import VPLinear
from spaces.registry import name_of

BANDS = [0.002, 0.02, 0.1, 0.5, 1, 5, 20, 40, 80]

# Share in % of student levels (the upper end of the interval) by band of sigma, rho 7, and the median.
# The polynomial's row was counted on the 256 draws of one batch, floor((j/255)**4 * 19); the rows of Beta,
# and those with jitter, were simulated (the second share of plain Beta, given as 27.1, is 26.8; the first
# of VP is .32 where the table has .3).
TABLE = [
    (LogNormal(p_mean=-1.1, p_std=2.0), 20, [6.9, 20.0, 25.9, 11.6, 27.0, 6.3, 1.5, 0.83], 0.38),
    (LogNormal(p_mean=-1.1, p_std=2.0), 1281, [7.5, 19.6, 30.9, 13.0, 20.6, 6.8, 1.2, 0.53], 0.34),
    (LogNormal(p_mean=-1.0, p_std=1.4), 1281, [1.8, 15.7, 41.0, 17.7, 20.7, 2.9, 0.18, 0.03], 0.37),
    (Polynomial(degree=4.0), 20, [57.0, 10.6, 7.4, 2.7, 9.4, 5.5, 3.1, 4.3], 0.018),
    (LogSNRLaplace(mu=0.0, b=0.5, sigma_data=1.0), 1281, [0, 0, 3.1, 46.3, 50.6, 0.08, 0, 0], 1.0),
    (
        LogSNRCauchy(mu=0.0, gamma=1.0, sigma_data=1.0),
        1281,
        [1.6, 2.9, 13.8, 32.0, 43.3, 4.6, 1.0, 0.72],
        1.0,
    ),
    (Cosine(sigma_data=1.0), 1281, [1.1, 5.1, 23.3, 20.7, 37.9, 9.5, 1.6, 0.80], 1.0),
    (VPLinear(), 1281, [0.32, 2.6, 12.6, 12.3, 33.1, 21.9, 9.1, 8.3], 2.9),
    (Uniform(), 1281, [10.9, 10.2, 12.7, 6.5, 17.7, 18.9, 10.9, 12.1], 2.5),
    (PolynomialJittered(degree=1.0, batch_size=256), 20, [2.8, 9.5, 11.0, 5.6, 22.2, 16.6, 12.8, 19.6], 4.9),
    (PolynomialJittered(degree=2.5, batch_size=256), 20, [15.7, 25.7, 13.9, 5.1, 15.8, 9.2, 6.1, 8.5], 0.38),
    (PolynomialJittered(degree=4.0, batch_size=256), 20, [25.0, 31.9, 12.0, 3.9, 11.5, 6.2, 3.9, 5.6], 0.10),
    (PolynomialJittered(degree=4.0, batch_size=256), 251, [55.7, 10.8, 8.9, 3.5, 7.9, 6.4, 3.2, 3.7], 0.011),
    (Beta(a=1.5, b=5.0), 251, [24.6, 26.8, 25.3, 8.4, 11.9, 2.7, 0.13, 0.00], 0.09),
    (BetaMinMax(a=1.5, b=5.0), 251, [18.2, 20.5, 22.8, 9.3, 17.5, 8.4, 2.0, 1.4], 0.21),
]
SIMULATED = {Beta: 0.1, BetaMinMax: 0.2, PolynomialJittered: 0.1}  # in %: what those rows may be off


@pytest.mark.parametrize(("noise", "num_levels", "shares", "median"), TABLE)
def test_mass_by_band_of_sigma(
    noise: NoiseDistribution, num_levels: int, shares: list[float], median: float
) -> None:
    sigma_N = KarrasGrid(rho=7.0).sigmas(num_levels)
    percent_M = 100 * noise.interval_probabilities(sigma_N).numpy()
    student_M = sigma_N[1:].numpy()
    band_M = np.searchsorted(BANDS, student_M, side="left") - 1
    measured = np.bincount(band_M, weights=percent_M, minlength=len(shares))
    one_draw = 100 / 256 if isinstance(noise, Polynomial) else SIMULATED.get(type(noise), 0.0)
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
        (LogSNRCauchy(mu=4.0, gamma=0.3), scipy.stats.cauchy(loc=np.log(0.5) - 2.0, scale=0.15)),
        (LogSNRCauchy(mu=-6.0, gamma=4.0), scipy.stats.cauchy(loc=np.log(0.5) + 3.0, scale=2.0)),
        # density sech(z)/pi is the hyperbolic secant law, with z = ln sigma - ln sigma_data for cosine
        (Cosine(), scipy.stats.hypsecant(loc=np.log(0.5))),
        (CosineShifted(mu=-3.0), scipy.stats.hypsecant(loc=np.log(0.5) + 3.0)),
        (CosineScaled(s=3.0), scipy.stats.hypsecant(loc=np.log(0.5), scale=1 / 3)),
    ],
)
def test_laws_over_sigma_equal_scipy_truncated_to_the_grid(
    noise: NoiseDistribution, law: scipy.stats.distributions.rv_frozen, rho: float, num_levels: int
) -> None:
    sigma_N = KarrasGrid(rho=rho).sigmas(num_levels)
    x_N = sigma_N.numpy() if isinstance(noise, LogNormal) else sigma_N.log().numpy()
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
    cdf_N = noise.cdf(sigma_N.numpy())
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


# mpmath's 50 digits as the reference of what the logarithms of the implementation must keep in the tails.


def sech_cdf(z: mpmath.mpf) -> mpmath.mpf:
    return 2 / mp.pi * mpmath.atan(mpmath.exp(z))


EXACT_CDF = {
    "logsnr_cauchy": lambda z: 1 / mpmath.mpf(2) + mpmath.atan(z) / mp.pi,
    "logsnr_laplace": lambda z: mpmath.exp(z) / 2 if z < 0 else 1 - mpmath.exp(-z) / 2,
    "cosine": sech_cdf,
    "cosine_shifted": sech_cdf,
    "cosine_scaled": sech_cdf,
}


@pytest.mark.parametrize(
    "noise",
    [
        LogSNRCauchy(mu=100.0, gamma=0.001),
        LogSNRCauchy(mu=-100.0, gamma=0.3),
        LogSNRLaplace(mu=-6.0, b=0.5),
        Cosine(sigma_data=1000.0),
        CosineShifted(mu=50.0),
        CosineShifted(mu=-50.0),
        CosineScaled(s=3.0),
        CosineScaled(s=1000.0),
    ],
)
@pytest.mark.parametrize("grid", [KarrasGrid(), KarrasGrid(sigma_min=1e-6, sigma_max=1e6, rho=100.0)])
def test_logsnr_laws_equal_50_digits_far_into_both_tails(noise: LogSNRLaplace, grid: KarrasGrid) -> None:
    sigma_N = grid.sigmas(41)
    with mp.workdps(50):
        cdf = EXACT_CDF[name_of(noise)]
        z_N = [
            (mpmath.mpf(noise.peak) - 2 * mpmath.log(mpmath.mpf(noise.sigma_data) / mpmath.mpf(sigma)))
            / noise.width
            for sigma in sigma_N.tolist()
        ]
        # From whichever end is nearer: 50 digits do not hold 1 - e^-2000.
        mass_M = [
            cdf(high) - cdf(low) if high < 0 else cdf(-low) - cdf(-high)
            for low, high in itertools.pairwise(z_N)
        ]
        expected_M = np.array([float(mass / sum(mass_M)) for mass in mass_M])
    measured_M = noise.interval_probabilities(sigma_N).numpy()
    np.testing.assert_allclose(measured_M, expected_M, rtol=1e-8, atol=1e-300)


@pytest.mark.parametrize("num_levels", [2, 20, 251])
@pytest.mark.parametrize(("a", "b"), [(1.5, 5.0), (0.2, 8.0), (5.0, 0.5), (0.05, 100.0), (100.0, 0.05)])
def test_beta_equals_many_digits_in_every_interval(a: float, b: float, num_levels: int) -> None:
    measured_M = Beta(a=a, b=b).interval_probabilities(KarrasGrid().sigmas(num_levels)).numpy()
    some = sorted(
        {0, 1, num_levels // 3, num_levels // 2, num_levels - 3, num_levels - 2} & set(range(num_levels - 1))
    )
    with mp.workdps(320):  # mpmath takes the difference of two values near 1
        gaps = mpmath.mpf(num_levels - 1)
        expected = [float(mpmath.betainc(a, b, i / gaps, (i + 1) / gaps, regularized=True)) for i in some]
    np.testing.assert_allclose(measured_M[some], expected, rtol=1e-9, atol=1e-300)


def test_beta_1_1_is_uniform_and_beta_of_a_reciprocal_degree_is_polynomial() -> None:
    sigma_N = KarrasGrid().sigmas(251)
    uniform_M = Uniform().interval_probabilities(sigma_N)
    torch.testing.assert_close(Beta(a=1.0, b=1.0).interval_probabilities(sigma_N), uniform_M)
    for degree in (0.5, 2.5, 6.0):
        polynomial_M = Polynomial(degree=degree).interval_probabilities(sigma_N)
        beta_M = Beta(a=1 / degree, b=1.0).interval_probabilities(sigma_N)
        torch.testing.assert_close(beta_M, polynomial_M, rtol=1e-10, atol=1e-16)


def frequencies(index_SB: np.ndarray, num_intervals: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean share of each interval over steps S of batches B, and its standard error."""
    num_steps, batch = index_SB.shape
    flat = index_SB + num_intervals * np.arange(num_steps)[:, None]
    share_SM = np.bincount(flat.ravel(), minlength=num_steps * num_intervals).reshape(num_steps, -1) / batch
    return share_SM.mean(0), share_SM.std(0) / np.sqrt(num_steps)


def assert_simulated(index_SB: np.ndarray, expected_M: np.ndarray) -> None:
    share_M, error_M = frequencies(index_SB, len(expected_M))
    # 6 sigma, and one draw where an interval is never or always drawn: fails by chance twice in 1e9 per interval.
    assert (np.abs(share_M - expected_M) < 6 * error_M + 6 / index_SB.size).all()


@pytest.mark.parametrize("num_levels", [2, 3, 20, 250])
@pytest.mark.parametrize(
    ("a", "b", "batch"), [(1.5, 5.0, 256), (0.2, 0.5, 64), (5.0, 8.0, 16), (1.5, 5.0, 3)]
)
def test_beta_minmax_is_the_law_of_the_published_draw(
    a: float, b: float, batch: int, num_levels: int
) -> None:
    """v ~ Beta for the batch, stretched to [0, 1], index = int(v (N - 2)): the author's three lines."""
    v_SB = np.random.default_rng(0).beta(a, b, (200_000 // batch, batch))
    low_S1, high_S1 = v_SB.min(1, keepdims=True), v_SB.max(1, keepdims=True)
    index_SB = ((v_SB - low_S1) / (high_S1 - low_S1) * (num_levels - 2)).astype(np.int64)
    expected_M = BetaMinMax(a=a, b=b, batch_size=batch).interval_probabilities(
        KarrasGrid().sigmas(num_levels)
    )
    assert_simulated(index_SB, expected_M.numpy())


@pytest.mark.parametrize(
    "options",
    [
        {"a": 0.2, "b": 8.0},
        {"a": 5.0, "b": 0.5},
        {"a": 100.0, "b": 100.0},
        {"a": 100.0, "b": 100.0, "batch_size": 65_536},
        {"a": 0.05, "b": 100.0, "batch_size": 65_536},
    ],
)
def test_beta_minmax_does_not_depend_on_its_quadrature(
    options: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    sigma_N = KarrasGrid().sigmas(1281)
    measured_M = BetaMinMax(**options).interval_probabilities(sigma_N)
    finer = partial(beta_minmax.interpolated_cdf, num_nodes=40, num_knots=641)
    monkeypatch.setattr(beta_minmax, "interpolated_cdf", finer)
    finer_M = BetaMinMax(**options).interval_probabilities(sigma_N)
    assert not torch.equal(measured_M, finer_M)
    torch.testing.assert_close(measured_M, finer_M, rtol=1e-4, atol=0)
    torch.testing.assert_close(measured_M, finer_M, rtol=0, atol=5e-8)


def jittered_index(commit: str, degree: float, batch: int, num_levels: int, num_steps: int) -> np.ndarray:
    """The author's loops over the batch, as arrays: position, jitter, and the position where that leaves the range."""
    rng = np.random.default_rng(0)
    normal_SB = rng.standard_normal((num_steps, batch))
    j = np.arange(batch)
    if commit == "5cdaa1e":
        x_B = np.floor((j / batch) ** degree * (num_levels - 1))
        moved_SB = np.floor(x_B + normal_SB * num_levels ** (1 / 7))
        return np.where((moved_SB >= 0) & (moved_SB < num_levels - 1), moved_SB, x_B).astype(np.int64)
    x_B = (j / (batch - 1)) ** degree * (num_levels - 2)
    moved_SB = x_B + normal_SB + (1 if commit == "3e2a486" else num_levels ** (1 / 5))
    return np.where((moved_SB >= 0) & (moved_SB < num_levels - 2), moved_SB, x_B).astype(np.int64)


@pytest.mark.parametrize("commit", ["5cdaa1e", "3e2a486", "994cbf8"])
@pytest.mark.parametrize(
    ("degree", "batch", "num_levels"), [(4.0, 256, 20), (1.0, 16, 250), (0.5, 256, 3), (2.5, 64, 2)]
)
def test_polynomial_jittered_is_the_law_of_the_published_draw(
    commit: str, degree: float, batch: int, num_levels: int
) -> None:
    noise = PolynomialJittered(degree=degree, batch_size=batch, commit=commit)
    expected_M = noise.interval_probabilities(KarrasGrid().sigmas(num_levels)).numpy()
    assert_simulated(jittered_index(commit, degree, batch, num_levels, 200_000 // batch), expected_M)


def test_the_jitter_takes_the_top_interval_away_and_lifts_the_bottom() -> None:
    sigma_N = KarrasGrid().sigmas(20)
    plain_M = Polynomial(degree=4.0).interval_probabilities(sigma_N)
    jittered_M = PolynomialJittered(degree=4.0).interval_probabilities(sigma_N)
    assert jittered_M[-1].item() == pytest.approx(1 / 128, rel=0.2)  # once in a batch
    low = sigma_N[1:] < 0.02
    assert plain_M[low].sum().item() == pytest.approx(0.57, abs=0.01)
    assert jittered_M[low].sum().item() == pytest.approx(0.25, abs=0.01)


def test_vp_is_the_law_of_the_noise_level_at_a_uniform_time() -> None:
    t = np.random.default_rng(0).uniform(1e-5, 1, 400_000)
    sigma = np.sqrt(np.expm1(19.9 * t**2 / 2 + 0.1 * t))
    assert sigma.max() == pytest.approx(152, rel=0.01)
    assert (sigma > 80).mean() == pytest.approx(0.0665, abs=6 * 4e-4)  # 6 standard errors
    sigma_N = KarrasGrid().sigmas(20)
    inside = sigma[(sigma > 0.002) & (sigma < 80)]
    index = np.searchsorted(sigma_N.numpy(), inside) - 1
    assert_simulated(
        index[: len(index) // 100 * 100].reshape(-1, 100), VPLinear().interval_probabilities(sigma_N).numpy()
    )


def test_vp_keeps_its_precision_at_both_ends() -> None:
    """Mass of an interval is proportional to the time spent in it, which 50 digits know."""
    sigma_N = KarrasGrid(sigma_min=0.001, sigma_max=150.0).sigmas(1281)
    with mp.workdps(50):
        b_d, b_min = mpmath.mpf(19.9), mpmath.mpf(0.1)
        t_N = [
            (mpmath.sqrt(b_min**2 + 2 * b_d * mpmath.log(1 + mpmath.mpf(sigma) ** 2)) - b_min) / b_d
            for sigma in sigma_N.tolist()
        ]
        t_N[0] = max(t_N[0], mpmath.mpf(1e-5))
        expected_M = np.array(
            [float((high - low) / (t_N[-1] - t_N[0])) for low, high in itertools.pairwise(t_N)]
        )
    np.testing.assert_allclose(VPLinear().interval_probabilities(sigma_N).numpy(), expected_M, rtol=1e-9)


def test_log_uniform_is_a_share_of_the_width_in_ln_sigma() -> None:
    sigma_N = KarrasGrid().sigmas(20)
    expected_M = np.diff(scipy.stats.loguniform(0.002, 80.0).cdf(sigma_N.numpy()))
    np.testing.assert_allclose(LogUniform().interval_probabilities(sigma_N).numpy(), expected_M, rtol=1e-9)


@pytest.mark.parametrize(
    ("noise", "peak"),
    [
        (LogSNRLaplace(mu=1.5), 1.5),
        (LogSNRCauchy(mu=-2.0), -2.0),
        (Cosine(), 0.0),
        (CosineShifted(mu=1.0), 2.0),  # twice mu
        (CosineScaled(s=0.5), 0.0),
    ],
)
def test_each_logsnr_law_has_its_peak_and_median_where_it_says(noise: LogSNRLaplace, peak: float) -> None:
    assert noise.peak == peak
    sigma_N = KarrasGrid(rho=100.0).sigmas(4001)
    density_M = noise.interval_probabilities(sigma_N) / sigma_N.log().diff()
    top = density_M.argmax()
    logsnr = 2 * (math.log(0.5) - (sigma_N[top].log() + sigma_N[top + 1].log()) / 2)
    assert logsnr.item() == pytest.approx(peak, abs=0.02)
    at_peak = np.array([0.5 * math.exp(-peak / 2)])
    assert noise.cdf(at_peak).item() == pytest.approx(0.5, abs=1e-12)


def test_log_student_t_is_cauchy_at_one_degree_of_freedom_and_nearly_normal_at_many() -> None:
    sigma = np.array([0.01, 0.3, 1.0, 7.0])
    z = (np.log(sigma) + 1.1) / 2.0
    cauchy = LogStudentT(nu=1.0).cdf(sigma)
    assert cauchy == pytest.approx(0.5 + np.arctan(z) / np.pi, rel=1e-9)
    assert LogStudentT(nu=1000.0).cdf(sigma) == pytest.approx(LogNormal().cdf(sigma), abs=1e-3)
    # Log-uniform but for a peak, as nu goes to 0: half of what lies below mu, and far below it hardly less.
    heavy = LogStudentT(mu=0.0, s=0.2, nu=0.01)
    assert heavy.cdf(np.array([1.0])) == pytest.approx([0.5])
    assert 0.45 < float(heavy.cdf(np.array([0.05]))[0]) < 0.5


def test_log_student_t_is_truncated_by_its_cdf() -> None:
    sigma = np.array([0.5, 1.0, 1.5, 20.0])
    whole, cut = LogStudentT(mu=0.0, s=0.2, nu=0.01), LogStudentT(mu=0.0, s=0.2, nu=0.01, t_min=1.0)
    below = whole.cdf(sigma)
    assert cut.cdf(sigma) == pytest.approx(((below - 0.5) / 0.5).clip(min=0), rel=1e-9)
    grid = KarrasGrid().noise_levels(100)
    mass = cut.probabilities(grid)
    assert not mass[grid[1:] <= 1.0].any() and (mass[grid[:-1] >= 1.0] > 0).all()
    with pytest.raises(ValueError, match="has no mass"):
        LogStudentT(t_min=100.0).probabilities(grid)
