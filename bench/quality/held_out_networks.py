"""Two networks that no search has seen, to try winners in: one of plain convolutions, one of attention.

python -m search compare searches/digits.yaml --presets ict,docs/digits_winner.json \\
    --at "network: {file: bench/quality/held_out_networks.py, class: PlainConvolutions}"
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PlainConvolutions(nn.Module):
    """Residual 3x3 convolutions without a norm; c_noise is a further channel of each. x_NCHW, c_noise_N -> NCHW."""

    def __init__(self, channels: int = 1, width: int = 32, depth: int = 4):
        super().__init__()
        self.first = nn.Conv2d(channels + 1, width, 3, padding=1)
        self.inner = nn.ModuleList(nn.Conv2d(width + 1, width, 3, padding=1) for _ in range(depth))
        self.last = _zero(nn.Conv2d(width, channels, 3, padding=1))

    def forward(self, x_NCHW: Tensor, c_noise_N: Tensor) -> Tensor:
        level_N1HW = c_noise_N[:, None, None, None].expand(-1, 1, *x_NCHW.shape[2:])
        h_NCHW = F.silu(self.first(torch.cat([x_NCHW, level_N1HW], 1)))
        for convolution in self.inner:
            h_NCHW = h_NCHW + F.silu(convolution(torch.cat([h_NCHW, level_N1HW], 1)))
        y_NCHW: Tensor = self.last(h_NCHW)
        return y_NCHW


class PatchTransformer(nn.Module):
    """A transformer on patches of 2x2 pixels, to each of which the noise level is added. x_NCHW, c_noise_N -> NCHW."""

    def __init__(self, channels: int = 1, side: int = 8, width: int = 64, depth: int = 3):
        super().__init__()
        self.first = nn.Linear(4 * channels, width)
        self.place = nn.Parameter(0.02 * torch.randn((side // 2) ** 2, width))
        self.register_buffer("frequencies", 2.0 ** torch.linspace(-4, 2, 16))
        self.level = nn.Linear(32, width)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 4, 4 * width, 0.0, F.gelu, batch_first=True, norm_first=True)
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.last = _zero(nn.Linear(width, 4 * channels))

    def forward(self, x_NCHW: Tensor, c_noise_N: Tensor) -> Tensor:
        angles = c_noise_N[:, None] * self.get_buffer("frequencies")
        level = F.silu(self.level(torch.cat([angles.sin(), angles.cos()], 1)))
        h = self.first(F.unfold(x_NCHW, 2, stride=2).transpose(1, 2)) + self.place + level[:, None]
        for layer in self.layers:
            h = layer(h)
        return F.fold(self.last(self.norm(h)).transpose(1, 2), x_NCHW.shape[2:], 2, stride=2)


def _zero(layer: nn.Conv2d | nn.Linear) -> nn.Module:
    """So that training starts from f = c_skip x."""
    assert layer.bias is not None
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
