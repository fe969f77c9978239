"""Frechet distance: closed forms, other algorithms, its bias."""

import math
import pickle

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from trainable.metric.frechet import GaussianStats, frechet_distance, trace_of_root

EXACT = 10**9  # "number of samples" of a covariance that is known exactly


def gaussian(mean: Tensor, covariance: Tensor) -> GaussianStats:
    return GaussianStats(mean.double(), covariance.double(), EXACT)


def random_features(n: int, d: int, seed: int) -> Tensor:
    """Correlated, with scales from 1 to 1e-2, as those of trained networks."""
    generator = torch.Generator().manual_seed(seed)
    mix_DD = torch.randn(d, d, generator=generator, dtype=torch.float64)
    x_ND = torch.randn(n, d, generator=generator, dtype=torch.float64)
    return (x_ND * torch.logspace(0, -2, d, dtype=torch.float64)) @ mix_DD + 1


def test_distance_of_gaussians_with_commuting_covariances() -> None:
    rotation, _ = torch.linalg.qr(random_features(5, 5, seed=0))
    a, b = torch.tensor([4.0, 1, 0.25, 9, 0]).double(), torch.tensor([1.0, 1, 4, 0, 0]).double()
    m1, m2 = torch.zeros(5), torch.tensor([0.0, 3, 0, 0, 4])
    distance = frechet_distance(
        gaussian(m1, rotation @ a.diag() @ rotation.T), gaussian(m2, rotation @ b.diag() @ rotation.T)
    )
    # 25 from the means, (sqrt(a) - sqrt(b))^2: 1 + 0 + 2.25 + 9 + 0
    assert distance == pytest.approx(37.25, rel=1e-7)


def test_distance_of_two_dimensional_gaussians_that_do_not_commute() -> None:
    a, b = torch.tensor([[2.0, 1], [1, 3]]), torch.tensor([[1.0, -0.5], [-0.5, 2]])
    # In two dimensions tr (AB)^(1/2) = (tr AB + 2 (det AB)^(1/2))^(1/2).
    root = math.sqrt(torch.trace(a @ b) + 2 * math.sqrt(torch.det(a @ b)))
    distance = frechet_distance(gaussian(torch.zeros(2), a), gaussian(torch.zeros(2), b))
    assert distance == pytest.approx(8 - 2 * root, rel=1e-6)  # the expected value is in float32


@pytest.mark.parametrize("d", [2, 16, 64, 200])
def test_trace_equals_scipy_sqrtm(d: int) -> None:
    one, two = (GaussianStats.of(random_features(3 * d, d, seed)) for seed in (1, 2))
    expected = np.trace(scipy.linalg.sqrtm((one.covariance_DD @ two.covariance_DD).numpy())).real
    assert trace_of_root(one, two) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("n1", "n2"), [(500, 20), (20, 500), (30, 20), (2, 2)])
def test_trace_with_fewer_samples_than_features(n1: int, n2: int) -> None:
    x_ND, y_ND = random_features(n1, 64, seed=1), random_features(n2, 64, seed=2)
    # tr (S1 S2)^(1/2) is the sum of the singular values of X Y^T, without any covariance.
    factors = [(z - z.mean(0)) / math.sqrt(len(z) - 1) for z in (x_ND, y_ND)]
    expected = torch.linalg.svdvals(factors[0] @ factors[1].T).sum()
    assert trace_of_root(GaussianStats.of(x_ND), GaussianStats.of(y_ND)) == pytest.approx(
        float(expected), rel=1e-6
    )


def test_distance_is_zero_to_itself_symmetric_and_never_negative() -> None:
    one, two = GaussianStats.of(random_features(40, 64, 1)), GaussianStats.of(random_features(90, 64, 2))
    assert 0 <= frechet_distance(one, one) < 1e-6 * float(one.covariance_DD.trace())
    assert frechet_distance(one, two) == pytest.approx(frechet_distance(two, one), rel=1e-6)


def test_a_constant_set_has_the_distance_of_its_mean_and_the_other_trace() -> None:
    one = GaussianStats.of(random_features(100, 8, 1))
    point = GaussianStats.of(one.mean_D.expand(50, -1) + 2)
    assert frechet_distance(one, point) == pytest.approx(4 * 8 + float(one.covariance_DD.trace()))


def test_statistics_are_those_of_numpy_and_summed_in_float64() -> None:
    x_ND = random_features(1000, 8, seed=3).float() + 1000
    stats = GaussianStats.of(x_ND)
    expected = np.cov(x_ND.double().numpy(), rowvar=False)
    np.testing.assert_allclose(stats.covariance_DD.numpy(), expected, rtol=1e-9)
    assert stats.mean_D.dtype == torch.float64
    assert stats.n == 1000


@pytest.mark.parametrize("sizes", [[2, 2], [10, 300], [5, 100, 7]])
def test_merged_statistics_equal_those_of_all_features(sizes: list[int]) -> None:
    x_ND = random_features(sum(sizes), 6, seed=4)
    first, *others = [GaussianStats.of(part) for part in x_ND.split(sizes)]
    for other in others:
        first = first.merged(other)
    whole = GaussianStats.of(x_ND)
    torch.testing.assert_close(first.covariance_DD, whole.covariance_DD, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(first.mean_D, whole.mean_D, rtol=1e-12, atol=1e-12)
    assert first.n == whole.n


def test_statistics_pickle_with_their_root() -> None:
    stats = GaussianStats.of(random_features(100, 5, seed=5))
    root_DD = stats.root_DD
    torch.testing.assert_close(root_DD @ root_DD, stats.covariance_DD)
    copy = pickle.loads(pickle.dumps(stats))
    assert torch.equal(copy.__dict__["root_DD"], root_DD)


def test_bias_falls_as_c_over_n() -> None:
    d, n, repeats = 8, 400, 600
    values_D = torch.logspace(1, -1, d, dtype=torch.float64)
    reference = gaussian(torch.zeros(d), values_D.diag())
    generator = torch.Generator().manual_seed(6)
    distances = torch.tensor(
        [
            frechet_distance(
                reference,
                GaussianStats.of(
                    torch.randn(n, d, generator=generator, dtype=torch.float64) * values_D.sqrt()
                ),
            )
            for _ in range(repeats)
        ],
        dtype=torch.float64,
    )
    standard_error = distances.std() / math.sqrt(repeats)
    # To order 1/n, l the eigenvalues: sum l_i for the mean; for the covariance
    # sum l_i l_j / (2 (l_i + l_j)) + sum l_i / 4.
    pairs_DD = values_D[:, None] * values_D / (2 * (values_D[:, None] + values_D))
    predicted = float(values_D.sum() * 1.25 + pairs_DD.sum()) / n
    # 5 standard errors: fails by chance 6 times in 1e7; 1% for the terms of order 1/n^2.
    assert abs(distances.mean() - predicted) < 5 * standard_error + 0.01 * predicted
    assert standard_error < 0.03 * predicted  # else the line above would prove nothing


@pytest.mark.parametrize("shape", [(1, 4), (4,), (2, 2, 2)])
def test_statistics_need_two_feature_vectors(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"must be \(N, D\) with `N >= 2`"):
        GaussianStats.of(torch.zeros(shape))


def test_statistics_of_other_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="as many features, but got 4 and 5"):
        frechet_distance(GaussianStats.of(torch.ones(9, 4)), GaussianStats.of(torch.ones(9, 5)))


def test_merging_is_off_by_rounding_only() -> None:
    x_ND = random_features(3000, 64, seed=1)
    whole, merged = (
        GaussianStats.of(x_ND),
        GaussianStats.of(x_ND[:1000]).merged(GaussianStats.of(x_ND[1000:])),
    )
    torch.testing.assert_close(
        merged.covariance_DD, whole.covariance_DD, rtol=0, atol=1e-13 * whole.covariance_DD.max().item()
    )


@pytest.mark.parametrize("num_flat", [0, 20, 100])
def test_rounding_is_as_small_as_is_said_also_where_features_have_no_variance(num_flat: int) -> None:
    """Features turned into a space of more dimensions keep their distance."""
    one_ND, other_ND = random_features(2000, 40, seed=1), 1.1 * random_features(2000, 40, seed=2)
    turned, _ = torch.linalg.qr(random_features(40 + num_flat, 40, seed=3))  # orthonormal columns
    before, after = (
        frechet_distance(GaussianStats.of(one_ND @ turn), GaussianStats.of(other_ND @ turn))
        for turn in (torch.eye(40, dtype=torch.float64), turned.T)
    )
    traces = sum(float(GaussianStats.of(x_ND).covariance_DD.trace()) for x_ND in (one_ND, other_ND))
    assert abs(after - before) < (5e-8 if num_flat else 1e-12) * traces
