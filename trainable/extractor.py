"""What a feature network is: images in, feature vectors out, weights with a checksum.

Axes: B images, C channels, H height, W width, D features.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from spaces.lazy_torch import Tensor
from spaces.registry import STRICT, Registry, name_of
from trainable.dataset import Images
from trainable.download import Remote

if TYPE_CHECKING:
    from torch import nn

_OTHERS = "pixels takes all images that are small, or pooled, small_cnn all that have labels"


@dataclass(frozen=True, eq=False)
class Weights:
    """The frozen state of a feature network. Distances from two checksums cannot be compared.

    `accuracy` is that on held-out images, for a network that was trained here as a classifier.
    """

    state: dict[str, Tensor]
    sha256: str
    accuracy: float | None = None


class Suits(NamedTuple):
    """Whether a feature network suits a data set, and why: what may stand behind its name."""

    ok: bool
    why: str


def suits_grey_or_rgb(image_shape: tuple[int, int, int]) -> Suits:
    """What a network that makes RGB of grey images says of others."""
    if image_shape[0] in (1, 3):
        return Suits(True, "takes grey or RGB images of any size")
    return Suits(False, f"takes grey or RGB images, but these have {image_shape[0]} channels")


@dataclass(frozen=True, kw_only=True)
class Extractor(ABC):
    """Base of `trainable/extractors/`: the fields are what a search file may set under `extractor`."""

    __pydantic_config__ = STRICT

    DATA: ClassVar[str | None] = None  # name of the only data set that it is meant for
    # Options that name a file or folder: relative to the search file, and no part of what a search is.
    PATHS: ClassVar[tuple[str, ...]] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the feature networks that it consists of."""
        return (name_of(self),)

    def check(self) -> None:
        """Quick, before data is loaded: ValueError with one line where this machine lacks what it needs."""
        return

    def downloads(self, cache_dir: Path) -> Sequence[Remote]:
        """The files that `weights` takes from the web where they are not there yet."""
        return ()

    def suits(self, image_shape: tuple[int, int, int], has_labels: bool) -> Suits:
        """Whether it can take images of shape (C, H, W)."""
        return Suits(True, "images of any kind")

    def check_suits(self, image_shape: tuple[int, int, int], has_labels: bool) -> None:
        """ValueError with one line where it does not suit such images."""
        ok, why = self.suits(image_shape, has_labels)
        if not ok:
            raise ValueError(
                f"Feature network '{name_of(self)}' {why}. Choose another `extractor`: {_OTHERS}"
            )

    @abstractmethod
    def weights(self, images: Images, cache_dir: Path) -> Weights:
        """Weights for this data set: trained (and then cached), read or downloaded, always verified.

        Raises ValueError with one line when this network does not suit the images or its weights
        cannot be had. Called once per search, on the driver.
        """

    @abstractmethod
    def network(self, image_shape: tuple[int, int, int], state: dict[str, Tensor]) -> "nn.Module":
        """The network with these weights: float32 (B, C, H, W) in [-1, 1] -> float32 (B, D).

        In evaluation mode, each image for itself. Needs no files: it is called in every worker.
        """


EXTRACTORS: Registry[Extractor] = Registry("trainable.extractors", Extractor, "feature network")  # type: ignore[type-abstract]


def objective_name(extractor_name: str) -> str:
    """`fid` for the standard Inception features and for nothing else; otherwise `fd_<network>`."""
    return "fid" if extractor_name == "inception" else f"fd_{extractor_name}"
