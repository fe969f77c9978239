"""The network itself: UNet2DModel(x, t) with t = 1000 c_noise, as its ConsistencyModelPipeline calls it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from trainable.draws import drawing
from trainable.network import NetworkModule

T_PER_C_NOISE = 1000.0  # t = 250 ln(sigma)


class DiffusersUnetModule(NetworkModule):
    """make: a new UNet2DModel, with first weights from torch's random numbers. draws: whether it has dropout."""

    def __init__(self, make: Callable[[], Any], draws: bool):
        super().__init__()
        self._make, self.draws = make, draws
        self.unet = make()

    def reset_parameters(self, generator: torch.Generator) -> None:
        seed = int(torch.randint(2**62, (), generator=generator))
        with drawing(torch.device("cpu"), seed):
            made = self._make()
        nn.init.zeros_(made.conv_out.weight)  # training starts from f = c_skip x
        nn.init.zeros_(made.conv_out.bias)
        with torch.no_grad():
            for mine, new in zip(self.unet.parameters(), made.parameters(), strict=True):
                mine.copy_(new)

    def forward(self, x_BCHW: Tensor, c_noise_B: Tensor) -> Tensor:
        out: Tensor = self.unet(x_BCHW, T_PER_C_NOISE * c_noise_B, return_dict=False)[0]
        return out
