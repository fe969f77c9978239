"""A small U-Net whose residual blocks are scaled and shifted by the noise level.

Axes: B images, C channels, H height, W width, E features of the noise level.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainable.network import Network, NetworkModule, NoiseFeatures, draw_linear_

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

    def forward(self, x_BCHW: Tensor, e_BE: Tensor) -> Tensor:
        h_BCHW = self.conv1(functional.silu(self.norm1(x_BCHW)))
        shift, scale = self.film(e_BE)[:, :, None, None].chunk(2, dim=1)
        h_BCHW = self.conv2(functional.silu(torch.addcmul(shift, self.norm2(h_BCHW), 1 + scale)))
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


class _UnetModule(NetworkModule):
    def __init__(
        self,
        image_channels: int,
        channels: tuple[int, ...],
        blocks: int,
        attention: bool,
        noise_features: int,
        noise_width: int,
    ):
        super().__init__()
        self.multiple = 2 ** (len(channels) - 1)
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
        self.middle = nn.ModuleList([_Block(current, current, noise_width) for _ in range(2)])
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

    def forward(self, x_BCHW: Tensor, c_noise_B: Tensor) -> Tensor:
        height, width = x_BCHW.shape[2:]
        # To a multiple of the coarsest pixel, evenly on all sides: 28x28 becomes 28x28, 30x30 or 32x32.
        pad_h, pad_w = -height % self.multiple, -width % self.multiple
        h = functional.pad(x_BCHW, (pad_w // 2, pad_w - pad_w // 2, pad_h // 2, pad_h - pad_h // 2))
        e_BE = functional.silu(self.noise_in(self.features(c_noise_B)))
        h = self.image_in(h)
        skips = [h]
        for i, level in enumerate(self.down):
            if i > 0:
                h = functional.avg_pool2d(h, 2)
            assert isinstance(level, nn.ModuleList)
            for block in level:
                h = block(h, e_BE)
                skips.append(h)
        h = self.middle[0](h, e_BE)
        if self.attention is not None:
            h = self.attention(h)
        h = self.middle[1](h, e_BE)
        for i, level in enumerate(self.up):
            if i > 0:
                h = functional.interpolate(h, scale_factor=2.0, mode="nearest")
            assert isinstance(level, nn.ModuleList)
            for block in level:
                h = block(torch.cat([h, skips.pop()], dim=1), e_BE)
        h = self.image_out(functional.silu(self.norm_out(torch.cat([h, skips.pop()], dim=1))))
        return h[:, :, pad_h // 2 : pad_h // 2 + height, pad_w // 2 : pad_w // 2 + width]


@dataclass(frozen=True, kw_only=True)
class Unet(Network):
    """Small U-Net with GroupNorm, scaled and shifted by the noise level; for 28x28 and 32x32 images.

    channels: at each resolution, from fine to coarse, each half the one before. blocks: residual blocks per
    resolution, on the way down and again on the way up. attention: at the coarsest resolution. Images whose
    sides do not halve evenly are padded inside and cut again. After Ronneberger et al. 2015
    (arXiv:1505.04597) and Dhariwal & Nichol 2021 (arXiv:2105.05233).
    """

    channels: tuple[int, ...] = (32, 64, 64)
    blocks: int = 1
    attention: bool = False
    noise_features: int = 16
    noise_width: int = 64

    BOUNDS: ClassVar[Mapping[str, tuple[int, int]]] = {
        "blocks": (1, 16),
        "noise_features": (2, 1024),
        "noise_width": (1, 8192),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= len(self.channels) <= 6 or not all(1 <= width <= 4096 for width in self.channels):
            raise ValueError(
                f"`channels` must be 1 to 6 numbers from 1 to 4096, but got {list(self.channels)}"
            )

    def build(self, image_shape: tuple[int, int, int]) -> NetworkModule:
        channels, height, width = image_shape
        if min(height, width) < 2 ** (len(self.channels) - 1):
            raise ValueError(
                f"Images of {height}x{width} cannot be halved {len(self.channels) - 1} times: give fewer `channels`"
            )
        return _UnetModule(
            channels, self.channels, self.blocks, self.attention, self.noise_features, self.noise_width
        )
