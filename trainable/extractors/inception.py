"""Inception-v3 with the standard weights: the only network whose distance may be called FID."""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from spaces.lazy_torch import Tensor, torch
from trainable.dataset import Images
from trainable.download import Remote, download, file_sha256
from trainable.extractor import Extractor, Suits, Weights, suits_grey_or_rgb
from trainable.storage.path import expanded

if TYPE_CHECKING:
    from torch import nn

# Inception of 2015-12-05 as ported from TensorFlow by pytorch-fid and by torch-fidelity; the file
# name of both releases ends in the first digits of this SHA-256.
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
NUM_BYTES = 95628359
URLS = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
)
FEATURES = "2048"  # the last pooling layer


@dataclass(frozen=True, kw_only=True)
class Inception(Extractor):
    """2048 features of Inception-v3, standard weights: the distance is FID (needs `torch-fidelity`).

    weights_path: the file pt_inception-2015-12-05-6726825d.pth (of pytorch-fid; torch-fidelity's
    weights-inception-... is the same); without it, it is downloaded once (96 MB). Its SHA-256 is
    checked before it is read, for it is a pickle, and because with any other weights the distance
    would not be FID. Needs a GPU in practice: about 3 GFLOP an image.
    """

    weights_path: str | None = None

    PATHS: ClassVar[tuple[str, ...]] = ("weights_path",)

    def suits(self, image_shape: tuple[int, int, int], has_labels: bool) -> Suits:
        return suits_grey_or_rgb(image_shape)

    def check(self) -> None:
        _feature_extractor_class()
        if self.weights_path is not None:
            self._checked(self.weights_path)

    def _checked(self, weights_path: str) -> Path:
        path = expanded(weights_path)
        try:
            sha256 = file_sha256(path)
        except OSError as error:
            raise ValueError(
                f"Inception weights {path} cannot be read: {error.strerror}. Leave out `weights_path` to "
                "download them."
            ) from error
        if sha256 != SHA256:
            raise ValueError(
                f"FID needs the standard Inception weights with SHA-256 {SHA256}, but {path} has "
                f"{sha256}. Leave out `weights_path` to download them."
            )
        return path

    def downloads(self, cache_dir: Path) -> tuple[Remote, ...]:
        if self.weights_path is not None:
            return ()
        path = cache_dir / "extractors" / URLS[0].rpartition("/")[2]
        return (Remote(URLS, path, SHA256, NUM_BYTES),)

    def weights(self, images: Images, cache_dir: Path) -> Weights:
        _feature_extractor_class()
        self.check_suits(images.image_shape, images.y_N is not None)
        if self.weights_path is None:
            [path] = [download(*remote) for remote in self.downloads(cache_dir)]
        else:
            path = self._checked(self.weights_path)
        return Weights(torch.load(path, map_location="cpu", weights_only=True), SHA256)

    def network(self, image_shape: tuple[int, int, int], state: dict[str, Tensor]) -> "nn.Module":
        from trainable.extractors._inception import InceptionFeatures

        make = _feature_extractor_class()
        # The class reads its weights from a file and draws random ones first: both are kept in here.
        file = io.BytesIO()
        torch.save(state, file)
        file.seek(0)
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = make("inception-v3-compat", [FEATURES], feature_extractor_weights_path=file)
        return InceptionFeatures(network).eval().requires_grad_(False)


def _feature_extractor_class() -> "type[nn.Module]":
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision built for another torch
        raise ValueError(
            f"Feature network 'inception' needs torch-fidelity, which does not import ({error}). Run: pip "
            "install torch-fidelity, with the torchvision that was built for this torch."
        ) from error
    return FeatureExtractorInceptionV3
