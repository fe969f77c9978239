"""The network of mlp. Axes: B images, or T trials and B images; V values of an image and the noise level, W width."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainable.network_module import NetworkModule, draw_linear_


class MlpModule(NetworkModule):
    """See `Mlp`. num_values: of an image."""

    stacks = "layers"

    def __init__(self, num_values: int, width: int, depth: int):
        super().__init__()
        sizes = [num_values + 1] + [width] * depth
        self.layers = nn.ModuleList([nn.Linear(size, width) for size in sizes[:-1]])
        self.image_out = nn.Linear(width, num_values)

    def reset_parameters(self, generator: torch.Generator) -> None:
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, nn.Linear)
            draw_linear_(layer, generator, gain=math.sqrt(2) if i else 1.0)
        draw_linear_(self.image_out, generator, gain=0)

    def forward(self, x_BCHW: Tensor, c_noise_B: Tensor) -> Tensor:
        h_BW = torch.cat([x_BCHW.flatten(-3), c_noise_B[..., None]], dim=-1)
        for layer in self.layers:
            h_BW = functional.silu(layer(h_BW))
        return self.image_out(h_BW).view(x_BCHW.shape)
