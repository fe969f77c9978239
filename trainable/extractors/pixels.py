"""No network: the pixels are the features.

Axes: B images, C channels, H height, W width.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from spaces.lazy_torch import Tensor
from trainable.dataset import Images
from trainable.extractor import Extractor, Suits, Weights

if TYPE_CHECKING:
    from torch import nn

SHA256_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
SLOW = 1024  # features: of more a distance takes seconds
MAX_FEATURES = 4096  # 134 MB of covariance; the eigenvalues of more take minutes per distance


@dataclass(frozen=True, kw_only=True)
class Pixels(Extractor):
    """The pixels themselves, from -1 to 1: no network, for any data set of small images.

    Blind to everything but mean and covariance of the pixels; for data without labels, and tests. pool: side of squares
    of pixels whose mean is a feature. A distance costs the cube of the number of features: 3072 (RGB, 32x32) take 64
    times as long as 768 (pool 2).
    """

    pool: int = 1

    BOUNDS: ClassVar[Mapping[str, tuple[int, int]]] = {"pool": (1, 64)}

    def __post_init__(self) -> None:
        low, high = self.BOUNDS["pool"]
        if not low <= self.pool <= high:
            raise ValueError(f"`{low} <= pool <= {high}` must hold, but got pool={self.pool}")

    def suits(self, image_shape: tuple[int, int, int], has_labels: bool) -> Suits:
        channels, height, width = image_shape
        num = channels * math.ceil(height / self.pool) * math.ceil(width / self.pool)
        if num <= MAX_FEATURES:
            quicker = (
                f", and takes seconds for each distance: set `pool: {2 * self.pool}`" if num > SLOW else ""
            )
            return Suits(True, f"gives {num} features{quicker}; only their mean and covariance are seen")
        return Suits(False, f"gives at most {MAX_FEATURES} features, but would give {num}: set `pool`")

    def weights(self, images: Images, cache_dir: Path) -> Weights:
        self.check_suits(images.image_shape, images.y_N is not None)
        return Weights(
            {}, SHA256_OF_NOTHING if self.pool == 1 else sha256(f"pool {self.pool}".encode()).hexdigest()
        )

    def network(self, image_shape: tuple[int, int, int], state: dict[str, Tensor]) -> "nn.Module":
        from trainable.extractors._pixels import Pooled

        return Pooled(self.pool)
