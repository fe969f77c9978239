"""ResNet-56 for CIFAR-10 as a feature network: much cheaper than Inception, and not called FID.

Axes: B images, C channels, H height, W width, D features.
"""

import pickle
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from spaces.lazy_torch import Tensor, torch
from trainable.dataset import Images, sha256_of
from trainable.extractor import Extractor, Suits, Weights
from trainable.storage.path import expanded

if TYPE_CHECKING:
    from torch import nn

SOURCE = "https://github.com/akamaster/pytorch_resnet_cifar10 (pretrained_models/resnet56-4bfd9763.th)"
# Of the tensors in the order of their names (`sha256_of`), not of a file: the same weights are about
# in several files. 93.39% of CIFAR-10's test images.
SHA256 = "6b15b65a49965a341f7c71fdb4183d9f6229aab66a7ae70875e74f2bacb56734"


@dataclass(frozen=True, kw_only=True)
class ResNet56Features(Extractor):
    """64 features of a ResNet-56 trained on CIFAR-10, for 32x32 RGB images (weights from a file).

    weights_path: a PyTorch file with the published weights, as released or as a bare state_dict. Read
    without executing anything in it; other weights are refused. About .13 GFLOP an image.
    """

    weights_path: str | None = None

    PATHS: ClassVar[tuple[str, ...]] = ("weights_path",)

    def suits(self, image_shape: tuple[int, int, int], has_labels: bool) -> Suits:
        if image_shape == (3, 32, 32):
            return Suits(True, "trained on CIFAR-10")
        return Suits(False, f"takes RGB images of 32x32, but these have shape {image_shape}")

    def check(self) -> None:
        self._state()

    def _state(self) -> dict[str, Tensor]:
        if self.weights_path is None:
            raise ValueError(
                f"Feature network 'resnet56' needs `weights_path`, a file with its weights. Get {SOURCE}"
            )
        path = expanded(self.weights_path)
        state = _state_in(path)
        sha256 = sha256_of(*(state[name] for name in sorted(state)))
        if sha256 != SHA256:
            raise ValueError(
                f"`weights_path` must hold the published weights, whose tensors have SHA-256 {SHA256}, but "
                f"those in {path} have {sha256}. Get {SOURCE}"
            )
        return state

    def weights(self, images: Images, cache_dir: Path) -> Weights:
        self.check_suits(images.image_shape, images.y_N is not None)
        return Weights(self._state(), SHA256)

    def network(self, image_shape: tuple[int, int, int], state: dict[str, Tensor]) -> "nn.Module":
        from trainable.extractors._resnet56 import ResNet56

        with torch.device("meta"):
            net = ResNet56()
        counts = {name: torch.tensor(0) for name in net.state_dict() if name.endswith("num_batches_tracked")}
        net.load_state_dict({**counts, **state}, assign=True)
        return net.eval().requires_grad_(False)


def _state_in(path: Path) -> dict[str, Tensor]:
    """The float tensors of a state_dict, bare or under "state_dict", without DataParallel's prefix."""
    try:
        with warnings.catch_warnings():  # it also warns of what it then refuses
            warnings.simplefilter("ignore")
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"ResNet-56 weights {path} cannot be read ({reason}). Get {SOURCE}") from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(
        isinstance(value, torch.Tensor) for value in content.values()
    ):
        raise ValueError(f"{path} holds no state_dict. Get {SOURCE}")
    return {
        name.removeprefix("module."): tensor
        for name, tensor in content.items()
        if not name.endswith("num_batches_tracked")
    }
