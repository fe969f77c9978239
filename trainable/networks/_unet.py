"""The network of unet.

Axes: B images, C channels, H height, W width, E features of the noise level, F shifts and scales.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainable.network_module import NetworkModule, NoiseFeatures, draw_linear_

_HEAD_CHANNELS = 32  # channels of an attention head, about


def _group_norm(channels: int) -> nn.GroupNorm:
    """8 groups, or fewer where the channels do not divide by 8."""
    return nn.GroupNorm(next(groups for groups in (8, 4, 2, 1) if channels % groups == 0), channels)


class _Block(nn.Module):
    """x + conv(silu(film(norm(conv(silu(norm(x))))))): BigGAN's order, as in ADM and EDM networks."""

    def __init__(self, in_channels: int, out_channels: int, noise_width: int):
        super().__init__()
        self.norm1 = _group_norm(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.film = nn.Linear(noise_width, 2 * out_channels)
        self.norm2 = _group_norm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.skip = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else None

    def forward(self, x_BCHW: Tensor, film_BF11: Tensor) -> Tensor:
        """film_BF11: `film` of the noise level, shifts and then scales."""
        h_BCHW = self.conv1(functional.silu(self.norm1(x_BCHW)))
        shift, scale = film_BF11.chunk(2, dim=1)
        # Two operations: addcmul takes four times as long where a factor is one number per channel.
        h_BCHW = self.conv2(functional.silu(self.norm2(h_BCHW) * (1 + scale) + shift))
        return h_BCHW + (x_BCHW if self.skip is None else self.skip(x_BCHW))


class _Attention(nn.Module):
    """x + attention over all positions."""

    def __init__(self, channels: int):
        super().__init__()
        self.heads = next(n for n in range(max(1, channels // _HEAD_CHANNELS), 0, -1) if channels % n == 0)
        self.norm = _group_norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        batch, channels, height, width = x_BCHW.shape
        qkv = self.qkv(self.norm(x_BCHW)).reshape(
            batch, 3, self.heads, channels // self.heads, height * width
        )
        q, k, v = qkv.transpose(-1, -2).unbind(1)
        h = functional.scaled_dot_product_attention(q, k, v)
        return x_BCHW + self.out(h.transpose(-1, -2).reshape(batch, channels, height, width))


class UnetModule(NetworkModule):
    """patch: side of the squares of image values that are folded into channels, and unfolded again at the end."""

    stacks = "calls"

    def __init__(
        self,
        image_channels: int,
        channels: tuple[int, ...],
        blocks: int,
        attention: bool,
        noise_features: int,
        noise_width: int,
        patch: int,
        middle: int,
    ):
        super().__init__()
        self.patch = patch
        self.multiple = patch * 2 ** (len(channels) - 1)
        image_channels *= patch**2
        self.features = NoiseFeatures(noise_features)
        self.noise_in = nn.Linear(noise_features, noise_width)
        self.image_in = nn.Conv2d(image_channels, channels[0], 3, padding=1)
        self.down = nn.ModuleList()  # one list of blocks per resolution, from fine to coarse
        skips = [channels[0]]
        current = channels[0]
        for width in channels:
            level = nn.ModuleList()
            for _ in range(blocks):
                level.append(_Block(current, width, noise_width))
                current = width
                skips.append(current)
            self.down.append(level)
        self.middle = nn.ModuleList([_Block(current, current, noise_width) for _ in range(middle)])
        self.attention = _Attention(current) if attention else None
        self.up = nn.ModuleList()
        for width in reversed(channels):
            level = nn.ModuleList()
            for _ in range(blocks):
                level.append(_Block(current + skips.pop(), width, noise_width))
                current = width
            self.up.append(level)
        self.norm_out = _group_norm(current + skips[0])
        self.image_out = nn.Conv2d(current + skips.pop(), image_channels, 3, padding=1)
        # In the order in which they are used.
        self._films = [block.film for block in self.modules() if isinstance(block, _Block)]

    def reset_parameters(self, generator: torch.Generator) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                draw_linear_(module, generator)
            elif isinstance(module, nn.GroupNorm):
                module.reset_parameters()  # ones and zeros, nothing drawn
        # Each residual branch starts at zero, so does F: Goyal et al. 2017 (arXiv:1706.02677), 5.1.
        for module in self.modules():
            if isinstance(module, _Block):
                draw_linear_(module.conv2, generator, gain=0)
                draw_linear_(module.film, generator, gain=0.3)
            elif isinstance(module, _Attention):
                draw_linear_(module.out, generator, gain=0)
        draw_linear_(self.image_out, generator, gain=0)

    def _film(self, e_BE: Tensor) -> tuple[Tensor, ...]:
        """Shifts and scales of each block, (B, F, 1, 1), by one product for all: several small ones cost more."""
        weight_FE = torch.cat([film.weight for film in self._films])
        bias_F = torch.cat([film.bias for film in self._films])
        films_BF = functional.linear(e_BE, weight_FE, bias_F)
        return films_BF[:, :, None, None].split([film.out_features for film in self._films], dim=1)

    def forward(self, x_BCHW: Tensor, c_noise_B: Tensor) -> Tensor:
        height, width = x_BCHW.shape[2:]
        # To a multiple of the coarsest pixel, evenly on all sides: 28x28 becomes 28x28, 30x30 or 32x32.
        pad_h, pad_w = -height % self.multiple, -width % self.multiple
        h = functional.pad(x_BCHW, (pad_w // 2, pad_w - pad_w // 2, pad_h // 2, pad_h - pad_h // 2))
        films = iter(self._film(functional.silu(self.noise_in(self.features(c_noise_B)))))
        h = self.image_in(functional.pixel_unshuffle(h, self.patch))
        skips = [h]
        for i, level in enumerate(self.down):
            if i > 0:
                h = functional.avg_pool2d(h, 2)
            assert isinstance(level, nn.ModuleList)
            for block in level:
                h = block(h, next(films))
                skips.append(h)
        for i, block in enumerate(self.middle):
            h = block(h, next(films))
            if i == 0 and self.attention is not None:
                h = self.attention(h)
        for i, level in enumerate(self.up):
            if i > 0:
                h = functional.interpolate(h, scale_factor=2.0, mode="nearest")
            assert isinstance(level, nn.ModuleList)
            for block in level:
                h = block(torch.cat([h, skips.pop()], dim=1), next(films))
        h = functional.silu(self.norm_out(torch.cat([h, skips.pop()], dim=1)))
        h = functional.pixel_shuffle(self.image_out(h), self.patch)
        return h[:, :, pad_h // 2 : pad_h // 2 + height, pad_w // 2 : pad_w // 2 + width]
