"""The U-Net on folded pixels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from trainable.networks.unet import Unet


@dataclass(frozen=True, kw_only=True)
class SmallUnet(Unet):
    """The cheapest convolutional network here: a U-Net on squares of pixels, folded into channels; for tiny images.

    patch: side of the squares; 2 leaves a quarter of the positions. The other options are those of `unet`, for the
    folded image. On 8x8 images at batch 128 a step takes a third of one of `unet` with channels 16, 32
    (`python -m bench step`). After Hoogeboom et al. 2023 (arXiv:2301.11093), Section 3.3.
    """

    channels: tuple[int, ...] = (16, 16)
    patch: int = 2

    MIDDLE: ClassVar[int] = 1
    BOUNDS: ClassVar[Mapping[str, tuple[int, int]]] = {**Unet.BOUNDS, "patch": (1, 8)}

    @property
    def patch_side(self) -> int:
        return self.patch
