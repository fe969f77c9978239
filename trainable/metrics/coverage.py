"""Coverage of real images. Axes: N real images, G generated ones, D features."""

from dataclasses import dataclass

from spaces.lazy_torch import Tensor
from trainable.metrics._neighbours import ByNeighbours, ball_counts


@dataclass(frozen=True, kw_only=True)
class Coverage(ByNeighbours):
    """Share of real images whose ball holds a generated one. Naeem et al. 2020 (arXiv:2002.09797), Eq. 6.

    From 0 to 1: whether all that is real is made. For samples of the real distribution it is in expectation
    1 - C(N-1, k) / C(N+G-1, k), .97 at N = G and k = nearest_k = 5, whatever the distribution.
    """

    def measured(self, real_ND: Tensor, generated_GD: Tensor) -> float:
        _, points_N = ball_counts(real_ND, generated_GD, self.nearest_k)
        return float((points_N > 0).double().mean())
