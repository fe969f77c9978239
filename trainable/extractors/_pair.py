"""Two feature networks side by side. Axes: B images, C channels, H height, W width, D features."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainable.dataset import model_input

_BATCH_SIZE = 500


class SideBySide(nn.Module):
    """(B, C, H, W) -> the features of both, each times its scale, (B, D)."""

    def __init__(self, networks: Sequence[nn.Module], scale_2: Tensor):
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.register_buffer("scale_2", scale_2)
        self.scale_2: Tensor

    def forward(self, x_BCHW: Tensor) -> Tensor:
        both = zip(self.networks, self.scale_2, strict=True)
        return torch.cat([scale * network(x_BCHW) for network, scale in both], dim=1)


def total_variance(network: nn.Module, x_NCHW: Tensor) -> float:
    """Trace of the covariance of the features of images as they are stored."""
    network = network.eval()
    with torch.inference_mode():
        features = [
            network(model_input(x_BCHW).float().clamp(-1, 1)).double() for x_BCHW in x_NCHW.split(_BATCH_SIZE)
        ]
    return float(torch.cat(features).var(dim=0).sum())
