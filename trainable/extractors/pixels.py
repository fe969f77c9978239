"""No network: the pixels are the features."""

import math
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from trainable.dataset import Images
from trainable.extractor import Extractor, Suits, Weights

SHA256_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
MAX_FEATURES = 4096  # 134 MB of covariance; the eigenvalues of more take minutes per distance


@dataclass(frozen=True, kw_only=True)
class Pixels(Extractor):
    """The pixels themselves, from -1 to 1: no network, for any data set of small images.

    Blind to everything but mean and covariance of the pixels; for data without labels, and tests.
    """

    def suits(self, image_shape: tuple[int, int, int], has_labels: bool) -> Suits:
        num = math.prod(image_shape)
        if num <= MAX_FEATURES:
            return Suits(True, f"each of {num} values is a feature; only their mean and covariance are seen")
        return Suits(False, f"takes images of at most {MAX_FEATURES} values, but these have {num}")

    def weights(self, images: Images, cache_dir: Path) -> Weights:
        self.check_suits(images.image_shape, images.y_N is not None)
        return Weights({}, SHA256_OF_NOTHING)

    def network(self, image_shape: tuple[int, int, int], state: dict[str, Tensor]) -> nn.Module:
        return nn.Flatten()
