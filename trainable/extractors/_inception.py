"""The features of inception. Axes: B images, C channels, H height, W width, D features."""

import torch
from torch import Tensor, nn


class InceptionFeatures(nn.Module):
    """(B, C, H, W) in [-1, 1] -> 8-bit RGB, as an image file would hold -> (B, 2048).

    torch-fidelity's network resizes to 299x299 with TensorFlow 1's bilinear rule, as FID was defined.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x_BCHW: Tensor) -> Tensor:
        x_BCHW = x_BCHW.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
        (features_BD,) = self.network(x_BCHW.expand(-1, 3, -1, -1))
        return features_BD
