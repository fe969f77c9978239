"""The network of resnet56. Axes: B images, C channels, H height, W width."""

import torch.nn.functional as F
from torch import Tensor, nn

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of images in 0..1, as it was trained


class _Block(nn.Module):
    """Two 3x3 convolutions and a shortcut without weights (option A of He et al. 2016)."""

    def __init__(self, channels_in: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.extra = (channels - channels_in) // 2

    def forward(self, x_BCHW: Tensor) -> Tensor:
        y_BCHW = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x_BCHW)))))
        # Every second pixel, and new channels of zeros on either side.
        shortcut = x_BCHW[:, :, :: self.stride, :: self.stride]
        return F.relu(y_BCHW + F.pad(shortcut, (0, 0, 0, 0, self.extra, self.extra)))


class ResNet56(nn.Module):
    """He et al. 2016 (arXiv:1512.03385), section 4.2, n = 9; 64 features from the last pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self._layer(16, 16, 1)
        self.layer2 = self._layer(16, 32, 2)
        self.layer3 = self._layer(32, 64, 2)
        self.linear = nn.Linear(64, 10)

    @staticmethod
    def _layer(channels_in: int, channels: int, stride: int) -> nn.Sequential:
        blocks = [_Block(channels_in, channels, stride), *(_Block(channels, channels, 1) for _ in range(8))]
        return nn.Sequential(*blocks)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Images in [-1, 1] -> features (B, 64)."""
        mean, std = (x_BCHW.new_tensor(value)[:, None, None] for value in (MEAN, STD))
        x_BCHW = ((x_BCHW + 1) / 2 - mean) / std
        x_BCHW = F.relu(self.bn1(self.conv1(x_BCHW)))
        return self.layer3(self.layer2(self.layer1(x_BCHW))).mean(dim=(2, 3))
