"""Density of generated images. Axes: N real images, G generated ones, D features."""

from dataclasses import dataclass

from spaces.lazy_torch import Tensor
from trainable.metrics._neighbours import ByNeighbours, ball_counts


@dataclass(frozen=True, kw_only=True)
class Density(ByNeighbours):
    """Real images whose ball holds a generated one, by nearest_k. Naeem et al. 2020 (arXiv:2002.09797), Eq. 5.

    The mean over the generated images; precision that lonely real images do not raise. At least 0 and not limited
    by 1: 1 in expectation for samples of the real distribution, at any N and G, more where they crowd among its modes.
    """

    def measured(self, real_ND: Tensor, generated_GD: Tensor) -> float:
        balls_G, _ = ball_counts(real_ND, generated_GD, self.nearest_k)
        return float(balls_G.double().mean()) / self.nearest_k
