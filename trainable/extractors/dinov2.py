"""DINOv2 as a feature network: self-supervised features of natural images.

Axes: B images, C channels, H height, W width, D features.
"""

import pickle
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import safetensors

from spaces.lazy_torch import Tensor, torch
from trainable.dataset import Images
from trainable.download import file_sha256
from trainable.extractor import Extractor, Suits, Weights, suits_grey_or_rgb
from trainable.storage.path import expanded

if TYPE_CHECKING:
    from torch import nn

    from trainable.extractors._vision_transformer import VisionTransformer

SIZES = {"vits14": (384, 12), "vitb14": (768, 12), "vitl14": (1024, 24)}  # features, blocks
UNUSED = {"mask_token"}  # of training only


@dataclass(frozen=True, kw_only=True)
class DINOv2(Extractor):
    """384, 768 or 1024 features of DINOv2 (weights from a file). Follows people better than Inception does.

    Oquab et al. 2023 (arXiv:2304.07193); Stein et al. 2023 (arXiv:2306.04675) compare it with Inception. model: vits14,
    vitb14 or vitl14, the usual one for published figures. weights_path: dinov2_<model>_pretrain.pth of
    facebookresearch/dinov2, or the same tensors as .safetensors; sha256: of that file. Nothing is downloaded, since no
    checksum is published with it, and no code but ours is run. About 6, 24 and 80 GFLOP an image.
    """

    model: Literal["vits14", "vitb14", "vitl14"] = "vits14"
    weights_path: str | None = None
    sha256: str | None = None

    PATHS: ClassVar[tuple[str, ...]] = ("weights_path",)

    def __post_init__(self) -> None:
        if self.sha256 is not None and not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise ValueError(
                f"`sha256` must be 64 hexadecimal digits in lower case, but got sha256={self.sha256!r:.80}"
            )

    def suits(self, image_shape: tuple[int, int, int], has_labels: bool) -> Suits:
        return suits_grey_or_rgb(image_shape)

    def check(self) -> None:
        self._checked()

    def _checked(self) -> Path:
        if self.weights_path is None or self.sha256 is None:
            raise ValueError(
                f"Feature network 'dinov2' needs `weights_path`, the file dinov2_{self.model}_pretrain.pth of "
                "facebookresearch/dinov2, and `sha256`, what sha256sum says of it"
            )
        path = expanded(self.weights_path)
        try:
            found = file_sha256(path)
        except OSError as error:
            raise ValueError(
                f"DINOv2 weights {path} cannot be read: {error.strerror}. Name the file in `weights_path`"
            ) from error
        if found != self.sha256:
            raise ValueError(
                f"{path} must have the SHA-256 that `sha256` says, {self.sha256}, but has {found}. Get it again, or "
                "mend `sha256`"
            )
        return path

    def weights(self, images: Images, cache_dir: Path) -> Weights:
        self.check_suits(images.image_shape, images.y_N is not None)
        path = self._checked()
        assert self.sha256 is not None
        return Weights(self._fitting(path, _state_in(path)), self.sha256)

    def _fitting(self, path: Path, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The tensors that the network has, in float32. ValueError where they are those of another one."""
        expected = {name: tensor.shape for name, tensor in self._empty().state_dict().items()}
        found = {name: tensor.shape for name, tensor in state.items() if name not in UNUSED}
        wrong = sorted(
            name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)
        )
        if wrong:
            raise ValueError(
                f"{path} must hold the tensors of DINOv2's {self.model}, but {len(wrong)} are other ones, the first is "
                f"{wrong[0]}. Set `model`, or get dinov2_{self.model}_pretrain.pth"
            )
        return {name: state[name].float() for name in expected}

    def _empty(self) -> "VisionTransformer":
        from trainable.extractors._vision_transformer import VisionTransformer

        with torch.device("meta"):  # no memory, no random numbers: all comes from the state
            return VisionTransformer(*SIZES[self.model])

    def network(self, image_shape: tuple[int, int, int], state: dict[str, Tensor]) -> "nn.Module":
        from trainable.extractors._vision_transformer import Features

        network = self._empty()
        network.load_state_dict(state, assign=True)
        return Features(network).eval().requires_grad_(False)


def _state_in(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, read without executing anything in it."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        with warnings.catch_warnings():  # it also warns of what it then refuses
            warnings.simplefilter("ignore")
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (
        *(OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError),
        safetensors.SafetensorError,
    ) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"DINOv2 weights {path} cannot be read ({reason}). Get the file again") from error
    if not isinstance(content, dict) or not all(
        isinstance(value, torch.Tensor) for value in content.values()
    ):
        raise ValueError(f"{path} holds no state_dict. Get the file again")
    return content
