"""A second feature network: another architecture, another seed.

Axes: B images, C channels, H height, W width.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from trainable.extractors._classifier import NUM_FEATURES, Classifier


class _Block(nn.Module):
    """Two 3x3 convolutions, the first halving the image and doubling its channels, beside a 1x1 one."""

    def __init__(self, width: int):
        super().__init__()
        self.conv1 = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(2 * width)
        self.conv2 = nn.Conv2d(2 * width, 2 * width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(2 * width)
        self.skip = nn.Conv2d(width, 2 * width, 1, stride=2, bias=False)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        h_BCHW = self.norm2(self.conv2(F.silu(self.norm1(self.conv1(x_BCHW)))))
        return F.silu(h_BCHW + self.skip(x_BCHW))


class _ResidualNetwork(nn.Module):
    """A 3x3 convolution, two residual blocks, the mean over all positions, 64 features, class scores."""

    def __init__(self, image_shape: tuple[int, int, int], width: int, num_classes: int):
        super().__init__()
        self.conv = nn.Conv2d(image_shape[0], width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.blocks = nn.Sequential(_Block(width), _Block(2 * width))
        self.hidden = nn.Linear(4 * width, NUM_FEATURES)
        self.scores = nn.Linear(NUM_FEATURES, num_classes)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Features (B, 64)."""
        h_BCHW = self.blocks(F.silu(self.norm(self.conv(x_BCHW))))
        return F.silu(self.hidden(h_BCHW.mean(dim=(2, 3))))


@dataclass(frozen=True, kw_only=True)
class SmallResnet(Classifier):
    """64 features of a small residual classifier of the search's own data set, for a second opinion.

    Unlike `small_cnn`, `digits_cnn` and `fashion_cnn`: residual, smooth, averaged over the positions, of another seed.
    """

    learning_rate: float = 1e-2

    SEED: ClassVar[int] = 1
    NETWORK: ClassVar[type[nn.Module]] = _ResidualNetwork
