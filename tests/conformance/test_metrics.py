"""Our metrics of samples against other implementations, on the same features.

Axes: N real images, G generated ones, D features.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainable.metric.sample_metric import METRICS

NEIGHBOURS = ("precision", "recall", "density", "coverage")


class Given(nn.Module):
    """A feature network that is given features."""

    def __init__(self, num_features: int):
        super().__init__()
        self.num_features = num_features

    def forward(self, features_ND: Tensor) -> Tensor:
        return features_ND


def features(num_real: int, num_generated: int) -> tuple[Tensor, Tensor]:
    """(N, 16) and (G, 16), float64, like those behind a rectifier: of two correlated laws that overlap."""
    generator = torch.Generator().manual_seed(num_real)
    mixing_DD = torch.randn(16, 16, generator=generator, dtype=torch.float64)
    real_ND, generated_GD = (
        torch.randn(num, 16, generator=generator, dtype=torch.float64) @ mixing_DD
        for num in (num_real, num_generated)
    )
    return real_ND.relu(), (0.8 * generated_GD + 0.5).relu()


def compared(found: float, theirs: float, record_property: Callable[..., None]) -> None:
    difference = abs(found - theirs) / abs(theirs)
    record_property("difference", difference)
    assert difference <= 1e-6


@pytest.mark.conformance("torchmetrics", "Frechet distance (relative)")
@pytest.mark.parametrize("sizes", [(300, 300), (500, 200), (12, 9)])
def test_the_frechet_distance(
    torchmetrics_fid: Any, sizes: tuple[int, int], record_property: Callable[..., None]
) -> None:
    real_ND, generated_GD = features(*sizes)
    theirs = torchmetrics_fid(feature=Given(16)).set_dtype(torch.float64)
    theirs.update(real_ND, real=True)
    theirs.update(generated_GD, real=False)
    found = METRICS.build("frechet_distance")(real_ND, generated_GD)
    compared(found, theirs.compute().item(), record_property)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save all")
@pytest.mark.conformance("torchmetrics", "kernel distance, all images in one subset (relative)")
@pytest.mark.parametrize("num", [20, 400])
def test_the_kernel_distance(torchmetrics_kid: Any, num: int, record_property: Callable[..., None]) -> None:
    real_ND, generated_GD = features(num, num)
    theirs = torchmetrics_kid(feature=Given(16), subsets=1, subset_size=num)
    theirs.update(real_ND, real=True)
    theirs.update(generated_GD, real=False)
    found = METRICS.build("kernel_distance")(real_ND, generated_GD)
    compared(found, theirs.compute()[0].item(), record_property)


@pytest.mark.conformance("prdc", "precision, recall, density, coverage (relative)")
@pytest.mark.parametrize("nearest_k", [1, 3, 5])
@pytest.mark.parametrize("sizes", [(300, 300), (500, 200)])
def test_the_metrics_by_neighbours(
    prdc: Any, sizes: tuple[int, int], nearest_k: int, record_property: Callable[..., None]
) -> None:
    real_ND, generated_GD = features(*sizes)
    theirs = prdc.compute_prdc(real_ND.numpy(), generated_GD.numpy(), nearest_k)
    for name in NEIGHBOURS:
        metric = METRICS.build({"name": name, "nearest_k": nearest_k})
        assert 0 < theirs[name] < 1.5
        compared(metric(real_ND, generated_GD), float(theirs[name]), record_property)
