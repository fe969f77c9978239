"""What a Frechet distance of Inception's size costs a trial: 2048 features of 50,000 samples."""

import time
from collections.abc import Callable
from typing import TypeVar

import torch

from bench.figures import Spread, table
from trainable.metric.frechet import GaussianStats, frechet_distance

NUM_SAMPLES, NUM_FEATURES = 50_000, 2048
REPEATS = 3

T = TypeVar("T")


def main(
    show: Callable[[str], None], num_samples: int = NUM_SAMPLES, num_features: int = NUM_FEATURES
) -> None:
    """Measure and show."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    mixing_DD = torch.randn(num_features, num_features, generator=generator) / num_features**0.5
    features_ND = torch.randn(num_samples, num_features, generator=generator) @ mixing_DD
    sums, other = _timed(lambda: GaussianStats.of(features_ND))
    reference = GaussianStats.of(features_ND[: num_samples // 2])
    root, _ = _timed(lambda: reference.root_DD)
    distances = [_timed(lambda: frechet_distance(reference, other))[0] for _ in range(REPEATS)]
    show(
        f"Frechet distance: {num_features} features of {num_samples} samples, CPU seconds of one thread, the distance "
        f"{REPEATS} times; median [smallest, largest]"
    )
    rows = [
        ["the reference's root, once and kept", f"{root:.2f}", ""],
        ["mean and covariance of the features", f"{sums:.2f}", ""],
        ["the distance", Spread.of(distances).text(), "<= 1.5"],
    ]
    show(table(["", "seconds", "target"], rows))


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    """CPU seconds, and what the work gives."""
    began = time.process_time()
    found = work()
    return time.process_time() - began, found
