"""Precision of generated images. Axes: N real images, G generated ones, D features."""

from dataclasses import dataclass

from spaces.lazy_torch import Tensor
from trainable.metrics._neighbours import ByNeighbours, ball_counts


@dataclass(frozen=True, kw_only=True)
class Precision(ByNeighbours):
    """Share of generated images within the balls of the real ones. Kynkäänniemi et al. 2019 (arXiv:1904.06991).

    From 0 to 1: whether what is made looks real. Balls of lonely real images are large, so a few outliers raise it;
    below 1 also for a perfect model, and higher the smaller N.
    """

    nearest_k: int = 3

    def measured(self, real_ND: Tensor, generated_GD: Tensor) -> float:
        balls_G, _ = ball_counts(real_ND, generated_GD, self.nearest_k)
        return float((balls_G > 0).double().mean())
