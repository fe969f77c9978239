"""A small U-Net whose residual blocks are scaled and shifted by the noise level."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from trainable.network import Network

if TYPE_CHECKING:
    from trainable.network_module import NetworkModule


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

    MIDDLE: ClassVar[int] = 2  # blocks at the bottom; attention stands behind the first
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

    @property
    def patch_side(self) -> int:
        """Image values along a side of what the network takes for a pixel."""
        return 1

    def build(self, image_shape: tuple[int, int, int]) -> "NetworkModule":
        channels, height, width = image_shape
        if min(height, width) < self.patch_side * 2 ** (len(self.channels) - 1):
            of = f" in patches of {self.patch_side}" if self.patch_side > 1 else ""
            raise ValueError(
                f"Images of {height}x{width} cannot be halved {len(self.channels) - 1} times{of}: give fewer `channels`"
            )
        from trainable.networks._unet import UnetModule

        return UnetModule(
            channels,
            self.channels,
            self.blocks,
            self.attention,
            self.noise_features,
            self.noise_width,
            self.patch_side,
            self.MIDDLE,
        )
