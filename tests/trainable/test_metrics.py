"""The contract of every file in `trainable/metrics/`, and the known answers of each."""

import json
import math
import pickle

import pytest
import torch
from torch import Tensor

from search.contracts._promise import Promise
from search.contracts.metrics import PROMISES, drawn
from spaces.registry import summary_of
from trainable.metric.sample_metric import METRICS, SampleMetric
from trainable.metrics._neighbours import ball_counts
from trainable.metrics.coverage import Coverage
from trainable.metrics.density import Density
from trainable.metrics.frechet_distance import FrechetDistance
from trainable.metrics.kernel_distance import KernelDistance
from trainable.metrics.precision import Precision
from trainable.metrics.recall import Recall

every_metric = pytest.mark.parametrize("name", list(METRICS))
by_neighbours = pytest.mark.parametrize("metric", [Precision(), Recall(), Density(), Coverage()])


@every_metric
@pytest.mark.parametrize("promise", PROMISES)
def test_a_metric_keeps_what_metrics_keep(name: str, promise: Promise) -> None:
    promise(name)


@every_metric
def test_each_is_described_by_its_source_and_round_trips(name: str) -> None:
    metric = METRICS.build(name)
    assert "arXiv:" in summary_of(type(metric))
    assert METRICS.build(json.loads(json.dumps(METRICS.describe(metric)))) == metric
    assert pickle.loads(pickle.dumps(metric)) == metric
    with pytest.raises(ValueError, match="no_such_option"):
        METRICS.build({"name": name, "no_such_option": 1})


@every_metric
def test_too_few_images_and_other_widths_are_refused(name: str) -> None:
    metric = METRICS.build(name)
    least = metric.least_images
    enough, short = drawn(least, 3, seed=7), drawn(least - 1, 3, seed=8)
    metric(enough, enough + 1)
    for real_ND, generated_GD in ((enough, short), (short, enough)):
        with pytest.raises(ValueError, match=f"{name}.* needs at least {least} real and as many generated"):
            metric(real_ND, generated_GD)
    with pytest.raises(ValueError, match=r"must be \(N, D\) and \(G, D\), but got \(\d, 3\) and \(\d, 4\)"):
        metric(enough, drawn(least, 4, seed=9))


@every_metric
def test_more_rows_than_are_taken_at_once_give_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    metric = METRICS.build(name)
    real_ND, generated_GD = drawn(70, 3, seed=10), drawn(50, 3, seed=11, shift=0.5)
    value = metric(real_ND, generated_GD)
    for module in ("kernel_distance", "_neighbours"):
        monkeypatch.setattr(f"trainable.metrics.{module}.ROWS", 16)
    assert metric(real_ND, generated_GD) == pytest.approx(value, rel=1e-12)


def test_the_kernel_distance_is_gretton_and_others_sum_of_pairs() -> None:
    x_ND, y_GD = drawn(9, 3, seed=12), drawn(6, 3, seed=13, shift=1.0)

    def kernel(a_D: Tensor, b_D: Tensor) -> float:
        return (float(a_D @ b_D) / 3 + 1) ** 3

    def mean(values: list[float]) -> float:
        return math.fsum(values) / len(values)

    within = [[kernel(a, b) for a in z for b in z if a is not b] for z in (list(x_ND), list(y_GD))]
    between = [kernel(a, b) for a in x_ND for b in y_GD]
    expected = mean(within[0]) + mean(within[1]) - 2 * mean(between)
    assert KernelDistance()(x_ND, y_GD) == pytest.approx(expected, rel=1e-12)


def test_the_kernel_distance_has_no_bias_where_the_frechet_distance_has() -> None:
    kernel, frechet = [], []
    for seed in range(400):
        x_ND, y_GD = drawn(20, 2, seed=2 * seed), drawn(8, 2, seed=2 * seed + 1)
        kernel.append(KernelDistance()(x_ND, y_GD))
        frechet.append(FrechetDistance()(x_ND, y_GD))
    values = torch.tensor([kernel, frechet], dtype=torch.float64)
    standard_errors = values.std(dim=1) / math.sqrt(400)
    assert abs(values[0].mean()) < 5 * standard_errors[0]  # fails by chance 6 times in 1e7
    assert values[1].mean() > 20 * standard_errors[1]


def test_balls_reach_to_the_kth_neighbour_which_is_inside() -> None:
    # On a line; radii of the 2nd neighbours are 3, 2, 3, 9.
    centre_ND = torch.tensor([[0.0], [1.0], [3.0], [10.0]]).double()
    point_GD = torch.tensor([[-3.0], [2.0], [6.0], [30.0]]).double()
    balls_G, points_N = ball_counts(centre_ND, point_GD, 2)
    assert balls_G.tolist() == [1, 4, 2, 0]
    assert points_N.tolist() == [2, 1, 2, 2]


def test_the_four_by_neighbours_on_a_line() -> None:
    real_ND = torch.tensor([[0.0], [1.0], [3.0], [10.0]])
    generated_GD = torch.tensor([[-3.0], [2.0], [6.0], [30.0]])
    given = real_ND, generated_GD
    assert Precision(nearest_k=2)(*given) == 3 / 4
    assert Density(nearest_k=2)(*given) == (1 + 4 + 2) / (2 * 4)
    assert Coverage(nearest_k=2)(*given) == 1
    assert Recall(nearest_k=2)(*given) == Precision(nearest_k=2)(generated_GD, real_ND) == 1


@pytest.mark.parametrize(("num_real", "num_generated"), [(60, 60), (90, 40)])
def test_density_and_coverage_of_a_perfect_model_are_what_their_docstrings_say(
    num_real: int, num_generated: int
) -> None:
    pairs = [(drawn(num_real, 3, 2 * seed), drawn(num_generated, 3, 2 * seed + 1)) for seed in range(200)]
    expected = {
        Density(): 1.0,
        Coverage(): 1 - math.comb(num_real - 1, 5) / math.comb(num_real + num_generated - 1, 5),
    }
    for metric, value in expected.items():
        found = torch.tensor([metric(*pair) for pair in pairs], dtype=torch.float64)
        # 5 standard errors: fails by chance 6 times in 1e7.
        assert abs(found.mean() - value) < 5 * found.std() / math.sqrt(len(pairs))


@by_neighbours
def test_a_mode_that_is_never_made_is_seen_by_recall_and_coverage_alone(metric: SampleMetric) -> None:
    both = torch.cat([drawn(100, 2, seed=20), drawn(100, 2, seed=21, shift=20.0)])
    one_mode = drawn(200, 2, seed=22)
    all_modes = torch.cat([drawn(100, 2, seed=23), drawn(100, 2, seed=24, shift=20.0)])
    lost = metric(both, one_mode) / metric(both, all_modes)
    assert lost < 0.6 if isinstance(metric, Recall | Coverage) else lost > 0.9


@pytest.mark.parametrize("nearest_k", [0, 1001])
def test_impossible_numbers_of_neighbours_are_refused(nearest_k: int) -> None:
    with pytest.raises(ValueError, match=f"`1 <= nearest_k <= 1000` must hold, but got .*={nearest_k}"):
        Precision(nearest_k=nearest_k)
