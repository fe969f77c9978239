"""A multilayer perceptron whose hidden layers are scaled and shifted by the noise level.

Axes: B images, W width, E features of the noise level.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainable.network import SLOW_WAVES, Network, NetworkModule, NoiseFeatures, draw_linear_

_LEAST_WAVE, _MOST_WAVE = 1e-4, 1e3  # periods per unit of c_noise


class _FilmMlpModule(NetworkModule):
    def __init__(self, num_values: int, options: "FilmMlp"):
        super().__init__()
        width, depth = options.width, options.depth
        self.width = width
        self.features = NoiseFeatures(options.noise_features, options.noise_band)
        self.noise_in = nn.Linear(options.noise_features, options.noise_width)
        # For all layers at once: one large product costs less than several small ones.
        self.film = nn.Linear(options.noise_width, 2 * width * depth)
        self.image_in = nn.Linear(num_values, width)
        self.layers = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])
        self.image_out = nn.Linear(width, num_values)

    def reset_parameters(self, generator: torch.Generator) -> None:
        draw_linear_(self.noise_in, generator)
        draw_linear_(self.film, generator, gain=0.3)
        with torch.no_grad():  # shift about 0, scale about 1: film's bias carries the 1
            self.film.bias.view(-1, 2, self.width)[:, 1] = 1
        draw_linear_(self.image_in, generator)
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            draw_linear_(layer, generator, gain=math.sqrt(2))
        draw_linear_(self.image_out, generator, gain=0)

    def forward(self, x_BCHW: Tensor, c_noise_B: Tensor) -> Tensor:
        e_BE = functional.silu(self.noise_in(self.features(c_noise_B)))
        film = self.film(e_BE).split(self.width, dim=1)  # shift_0, scale_0, shift_1, ...
        h_BW = self.image_in(x_BCHW.flatten(1))
        for i, layer in enumerate(self.layers):
            h_BW = h_BW + functional.silu(torch.addcmul(film[2 * i], film[2 * i + 1], layer(h_BW)))
        # Keeps the size of the output apart from the growth of the residual stream. Without it schedules that
        # rarely train the highest levels collapsed on the digits, and iCT's Frechet distance was 30 instead of 22.
        h_BW = functional.layer_norm(h_BW, (self.width,))
        return self.image_out(h_BW).view(x_BCHW.shape)


@dataclass(frozen=True, kw_only=True)
class FilmMlp(Network):
    """Residual multilayer perceptron, scaled and shifted by the noise level (FiLM); for tiny images.

    FiLM: Perez et al. 2018 (arXiv:1709.07871). `depth` hidden layers of `width`, each adding to what comes in,
    between a linear layer in and one out. The last starts at zero, so training starts from f = c_skip x.
    noise_band: the slowest and the fastest wave among the features of the noise level, in periods per unit of
    c_noise = ln(sigma) / 4. [0.0625, 4] is that of k-diffusion and EDM, about: what is learnt at one noise level
    then carries over less far to others.
    """

    width: int = 96
    depth: int = 2
    noise_features: int = 16
    noise_width: int = 32
    noise_band: tuple[float, float] = SLOW_WAVES

    BOUNDS: ClassVar[Mapping[str, tuple[int, int]]] = {
        "width": (1, 8192),
        "depth": (1, 64),
        "noise_features": (2, 1024),
        "noise_width": (1, 8192),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.noise_band
        if not _LEAST_WAVE <= low <= high <= _MOST_WAVE:  # NaN fails too
            raise ValueError(
                f"`{_LEAST_WAVE:g} <= low <= high <= {_MOST_WAVE:g}` must hold for noise_band=[low, high], "
                f"but got noise_band={list(self.noise_band)}"
            )

    def build(self, image_shape: tuple[int, int, int]) -> NetworkModule:
        return _FilmMlpModule(math.prod(image_shape), self)
