"""The network of strided_cnn. Axes: B images, C channels, H height, W width."""

import torch.nn.functional as F
from torch import Tensor, nn

from trainable.extractors._classifier_network import NUM_FEATURES, ClassifierModule


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
