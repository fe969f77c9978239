"""A second feature network for a data set with labels: a classifier of another build.

Axes: B images, C channels, H height, W width.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from trainable.extractors._classifier import NUM_FEATURES, Classifier, ClassifierModule


class StridedNetwork(ClassifierModule):
    """Three 3x3 convolutions, two of them halving the image, mean over it, a hidden layer of 64 features."""

    def __init__(self, image_channels: int, width: int, num_classes: int):
        super().__init__()
        self.conv1 = nn.Conv2d(image_channels, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1)
        self.hidden = nn.Linear(4 * width, NUM_FEATURES)
        self.scores = nn.Linear(NUM_FEATURES, num_classes)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        for layer in (self.conv1, self.conv2, self.conv3):
            x_BCHW = F.silu(layer(x_BCHW))
        return F.silu(self.hidden(x_BCHW.mean(dim=(2, 3))))


@dataclass(frozen=True, kw_only=True)
class StridedCNN(Classifier):
    """64 features of a classifier unlike the others: strides, SiLU, no norm, another initialisation.

    For any data set with labels: to measure samples by other features than the objective's, so that no one
    classifier decides. Set `min_accuracy` to what such a classifier should reach there.
    """

    SEED: ClassVar[int] = 1

    def module(self, image_shape: tuple[int, int, int], num_classes: int) -> ClassifierModule:
        return StridedNetwork(image_shape[0], self.width, num_classes)
