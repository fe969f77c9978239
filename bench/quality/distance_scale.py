"""What the numbers of a search's objective mean: the distance of real images, of a Gaussian and of noise.

    python -m bench.quality.distance_scale searches/fashion_mnist_cpu.yaml

Each with as many images as the search draws, ten times with fresh ones.
"""

import sys
from collections.abc import Sequence

import torch
from torch import Tensor

from bench.figures import Spread, table
from search.errors import EXIT_INPUT
from search.file.spec import load_spec
from search.machine.cache_folder import cache_folder
from trainable.dataset import model_input
from trainable.metric.assets import FrechetMetric, prepare

_REPEATS = 10


class Yardsticks:
    """Images of each kind for a data set: images_NCHW as stored."""

    def __init__(self, images_NCHW: Tensor):
        self._images_NCHW = images_NCHW
        x_ND = model_input(images_NCHW).flatten(1).double()
        self._mean_D = x_ND.mean(0)
        values_D, vectors_DD = torch.linalg.eigh(torch.cov(x_ND.T))
        self._root_DD = vectors_DD * values_D.clamp_min(0).sqrt()

    def draw(self, num_samples: int, generator: torch.Generator) -> dict[str, Tensor]:
        """(num_samples, C, H, W) float32 by what they are."""
        drawn = torch.randint(len(self._images_NCHW), (num_samples,), generator=generator)
        shape = (num_samples, *self._images_NCHW.shape[1:])
        z_ND = torch.randn(num_samples, len(self._mean_D), generator=generator, dtype=torch.float64)
        gaussian_ND = self._mean_D + z_ND @ self._root_DD.T
        return {
            "real images, drawn with replacement": model_input(self._images_NCHW[drawn]),
            "Gaussian with the mean and covariance of the pixels": gaussian_ND.float().view(shape),
            "noise, N(0, 1)": torch.randn(shape, generator=generator),
        }


def main(arguments: Sequence[str]) -> int:
    """Exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m bench.quality.distance_scale SEARCH_FILE\n")
        return EXIT_INPUT
    try:
        spec = load_spec(arguments[0])
        assets = prepare(spec.own_setting.data, spec.own_setting.extractor, cache_folder())
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_INPUT
    metric = FrechetMetric(assets, spec.objective.num_samples)
    yardsticks, generator = Yardsticks(assets.images_NCHW), torch.Generator().manual_seed(0)
    found: dict[str, list[float]] = {}
    for _ in range(_REPEATS):
        for name, x_NCHW in yardsticks.draw(metric.num_samples, generator).items():
            found.setdefault(name, []).append(metric(x_NCHW))
    rows = [[name, Spread.of(distances).text()] for name, distances in found.items()]
    print(table([f"{metric.num_samples} images of", f"{metric.objective} [least, most]"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
