from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from trainable.network import Network

if TYPE_CHECKING:
    from trainable.network import NetworkModule


@dataclass(frozen=True, kw_only=True)
class DiffusersUnet(Network):
    """diffusers' UNet2DModel (extra `diffusers`): a winner's model can be written as its ConsistencyModelPipeline.

    channels: at each resolution, from fine to coarse, each half the one before. blocks: residual blocks per resolution.
    attention: at the coarsest resolution, in heads of 8 channels. groups: of its norms; must divide all channels.
    For square images. See `export --format diffusers-pipeline`.
    """

    channels: tuple[int, ...] = (32, 64)
    blocks: int = 1
    attention: bool = False
    groups: int = 8
    dropout: float = 0.0

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {
        "blocks": (1, 16),
        "groups": (1, 256),
        "dropout": (0.0, 0.9),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= len(self.channels) <= 6 or not all(
            0 < n <= 4096 and n % self.groups == 0 for n in self.channels
        ):
            raise ValueError(
                f"`channels` must be 1 to 6 multiples of groups={self.groups} up to 4096, but got {list(self.channels)}"
            )

    def check(self) -> None:
        _library()

    def build(self, image_shape: tuple[int, int, int]) -> "NetworkModule":
        channels, height, width = image_shape
        coarsest = 2 ** (len(self.channels) - 1)
        if height != width or height % coarsest:
            raise ValueError(
                f"Network diffusers_unet takes square images that can be halved {len(self.channels) - 1} times, but "
                f"these are {height}x{width}: give fewer `channels`, or resize the images"
            )
        from trainable.networks._diffusers_unet import DiffusersUnetModule

        return DiffusersUnetModule(self._maker(channels, height), draws=self.dropout > 0)

    def _maker(self, channels: int, side: int) -> Callable[[], Any]:
        num, kind = len(self.channels), _library()
        with_attention = [False] * (num - 1) + [self.attention]
        config: dict[str, Any] = {
            **{"sample_size": side, "in_channels": channels, "out_channels": channels},
            **{"block_out_channels": self.channels, "layers_per_block": self.blocks, "dropout": self.dropout},
            "down_block_types": tuple(f"{'Attn' if each else ''}DownBlock2D" for each in with_attention),
            "up_block_types": tuple(
                f"{'Attn' if each else ''}UpBlock2D" for each in reversed(with_attention)
            ),
            **{"norm_num_groups": self.groups, "resnet_time_scale_shift": "scale_shift"},
            **{"add_attention": self.attention, "attention_head_dim": 8},
        }
        return lambda: kind(**config)


def _library() -> Any:
    """UNet2DModel. ValueError where diffusers is not installed."""
    try:
        from diffusers import UNet2DModel
    except ImportError as error:
        raise ValueError(
            "Network diffusers_unet needs the library diffusers, which cannot be imported "
            f"({str(error).partition(chr(10))[0]}). Run: pip install --constraint constraints.txt '.[diffusers]'"
        ) from error
    return UNet2DModel
