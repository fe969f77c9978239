"""What a network is built from.

Axes: B images, C channels, H height, W width, E features of the noise level.
"""

import math
from abc import ABC, abstractmethod
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn


class NetworkModule(nn.Module, ABC):
    """F(x_BCHW, c_noise_B) -> (B, C, H, W) in float32 (or what autocast makes of it).

    Each image for itself, so no batch norm. Parameters and what else is in its `state_dict` are all of its state.

    draws: whether a pass in training draws random numbers, as dropout does; from torch's global generator, which is
    set to the same for the student and the teacher of a step. The average that is sampled from is in evaluation mode.
    stacks: how several of it, each with weights of its own, make a pass together (`trainable/stack`). "layers": all
    parameters are those of `nn.Linear`, which is exchanged, and `forward` takes one more axis in front, of trials.
    "calls": `torch.vmap` can run it. None: it runs alone.
    """

    draws: bool = False
    stacks: Literal["layers", "calls"] | None = None

    @abstractmethod
    def reset_parameters(self, generator: torch.Generator) -> None:
        """Draw every parameter anew from a CPU generator, and nothing from anywhere else."""


SLOW_WAVES = (2.0**-7, 2.0**-4)


class NoiseFeatures(nn.Module):
    """sin and cos of 2 pi f_e c_noise, f_e geometric over the band, both ends included: (B,) -> (B, E).

    band_2: the lowest and the highest f_e, in periods per unit of c_noise. By default slow waves only, as in iCT
    (Fourier scale .02): c_noise = ln(sigma)/4 spans 2.6 from sigma .002 to 80, so F
    is nearly a low polynomial in it and what is learnt at one level carries over to the next ones. Waves from
    f = 1/16 to 4 learnt the digits more slowly (Frechet distance half-way 43-71 against 41-43, at the end
    26-39 against 25-27, 3 seeds). Fixed instead of drawn, so that trials differ in what is searched. float32
    under autocast too: sin and addcmul are not on its list.
    """

    frequency_E: Tensor
    phase_E: Tensor

    def __init__(self, num_features: int, band_2: tuple[float, float] = SLOW_WAVES):
        super().__init__()
        low, high = map(math.log2, band_2)
        # In NumPy: on the meta device, where networks are sized, torch's own factories import sympy and take a second.
        frequency = 2 * math.pi * np.exp2(np.linspace(low, high, (num_features + 1) // 2))
        # sin(a + pi/2) = cos(a): one call gives both halves.
        phase = np.repeat([0.0, math.pi / 2], len(frequency))
        for name, values in (("frequency_E", np.tile(frequency, 2)), ("phase_E", phase)):
            value_E = torch.tensor(values[:num_features], dtype=torch.float32)
            self.register_buffer(name, value_E, persistent=False)

    def forward(self, c_noise_B: Tensor) -> Tensor:
        return torch.addcmul(self.phase_E, c_noise_B[..., None], self.frequency_E).sin_()


def draw_linear_(layer: nn.Linear | nn.Conv2d, generator: torch.Generator, gain: float = 1.0) -> None:
    """weight ~ U(-a, a), a = gain sqrt(3 / fan_in): outputs have variance gain^2 per unit input; bias 0.

    LeCun et al. 1998. gain 0 makes a layer that starts at zero. Draws as many numbers whatever the gain.
    """
    fan_in = layer.weight[0].numel()
    weight = torch.empty(layer.weight.shape).uniform_(-1, 1, generator=generator)
    with torch.no_grad():
        layer.weight.copy_(weight.mul_(gain * math.sqrt(3 / fan_in)))
        if layer.bias is not None:
            layer.bias.zero_()
