"""What the metrics by nearest neighbours share. Axes: N images with balls, G images that lie in them, D features."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from spaces.lazy_torch import Tensor, torch
from trainable.metric.sample_metric import SampleMetric

ROWS = 1000  # of a matrix of distances at once: 80 MB against 10,000 images


@dataclass(frozen=True, kw_only=True)
class ByNeighbours(SampleMetric):
    """Base of the metrics by nearest neighbours. The ball of an image reaches to its nearest_k-th neighbour."""

    nearest_k: int = 5

    LARGER_IS_BETTER: ClassVar[bool] = True
    BY_PAIRS: ClassVar[bool] = True
    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {"nearest_k": (1, 1000)}

    @property
    def least_images(self) -> int:
        return self.nearest_k + 1


def ball_counts(centre_ND: Tensor, point_GD: Tensor, nearest_k: int) -> tuple[Tensor, Tensor]:
    """(balls that hold each point, (G,); points in each ball, (N,)).

    The ball of a centre reaches to the nearest_k-th nearest of the other centres, which is still inside.
    """
    balls_G = torch.zeros(len(point_GD), dtype=torch.int64, device=point_GD.device)
    points = []
    for rows in centre_ND.split(ROWS):
        # The nearest of all centres is the centre itself, or its equal.
        radius = torch.cdist(rows, centre_ND).kthvalue(nearest_k + 1, dim=1, keepdim=True).values
        inside = torch.cdist(rows, point_GD) <= radius
        balls_G += inside.sum(0)
        points.append(inside.sum(1))
    return balls_G, torch.cat(points)
