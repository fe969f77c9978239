"""The network of film_mlp. Axes: B images, or T trials and B images; W width, E features of the noise level."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainable.network_module import NetworkModule, NoiseFeatures, draw_linear_


class FilmMlpModule(NetworkModule):
    """See `FilmMlp`. num_values: of an image."""

    stacks = "layers"

    def __init__(
        self,
        num_values: int,
        *,
        width: int,
        depth: int,
        noise_features: int,
        noise_width: int,
        noise_band: tuple[float, float],
    ):
        super().__init__()
        self.width = width
        self.features = NoiseFeatures(noise_features, noise_band)
        self.noise_in = nn.Linear(noise_features, noise_width)
        # For all layers at once: one large product costs less than several small ones.
        self.film = nn.Linear(noise_width, 2 * width * depth)
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
        film = self.film(e_BE).split(self.width, dim=-1)  # shift_0, scale_0, shift_1, ...
        h_BW = self.image_in(x_BCHW.flatten(-3))
        for i, layer in enumerate(self.layers):
            h_BW = h_BW + functional.silu(torch.addcmul(film[2 * i], film[2 * i + 1], layer(h_BW)))
        # Keeps the size of the output apart from the growth of the residual stream. Without it schedules that
        # rarely train the highest levels collapsed on the digits, and iCT's Frechet distance was 30 instead of 22.
        h_BW = functional.layer_norm(h_BW, (self.width,))
        return self.image_out(h_BW).view(x_BCHW.shape)
