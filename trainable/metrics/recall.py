"""Recall of generated images. Axes: N real images, G generated ones, D features."""

from dataclasses import dataclass

from spaces.lazy_torch import Tensor
from trainable.metrics._neighbours import ByNeighbours, ball_counts


@dataclass(frozen=True, kw_only=True)
class Recall(ByNeighbours):
    """Share of real images within the balls of the generated ones. Kynkäänniemi et al. 2019 (arXiv:1904.06991).

    From 0 to 1: whether all that is real is made. Scattered bad samples have large balls and raise it; coverage does
    not have that fault. Below 1 also for a perfect model.
    """

    nearest_k: int = 3

    def measured(self, real_ND: Tensor, generated_GD: Tensor) -> float:
        balls_N, _ = ball_counts(generated_GD, real_ND, self.nearest_k)
        return float((balls_N > 0).double().mean())
