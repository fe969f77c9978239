"""The features of pixels. Axes: B images, C channels, H height, W width, D features."""

import torch.nn.functional as F
from torch import Tensor, nn


class Pooled(nn.Module):
    """(B, C, H, W) -> means over squares of pixels, (B, D); those at the right and lower edge may be smaller."""

    def __init__(self, side: int):
        super().__init__()
        self.side = side

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return (x_BCHW if self.side == 1 else F.avg_pool2d(x_BCHW, self.side, ceil_mode=True)).flatten(1)
