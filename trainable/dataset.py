"""What a data set is: images with values from -1 to 1 (or 0 to 255), labels, a checksum.

Axes: N images, C channels, H height, W width.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from spaces.lazy_torch import Tensor, torch
from spaces.registry import STRICT, Registry
from trainable.download import Remote
from trainable.image_file import MappedTensor


def model_input(x_NCHW: Tensor) -> Tensor:
    """float32 in [-1, 1], from uint8 in 0..255 or from float32 that is already so (returned as is)."""
    if x_NCHW.dtype == torch.uint8:
        return x_NCHW.to(torch.float32).div_(127.5).sub_(1)
    return x_NCHW


def sha256_of(*tensors: Tensor | None) -> str:
    """SHA-256 over type, shape and bytes of the tensors, in this order. None counts, as nothing."""
    digest = hashlib.sha256()
    for tensor in tensors:
        if tensor is None:
            digest.update(b"none;")
        else:
            digest.update(f"{tensor.dtype}{tuple(tensor.shape)};".encode())
            digest.update(tensor.contiguous().cpu().numpy().data)
    return digest.hexdigest()


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """A loaded data set: images to learn from, and held-out ones where the data set has such a split.

    x_NCHW is float32 in [-1, 1] or uint8 in 0..255, y_N int64 (None: no labels). `sha256` covers all
    four tensors. Raises ValueError when something else is given.

    held_out_reference: the held-out images are what samples are compared with, not those that are learnt from.
    file: where the images lie that are too many to be held by each worker; x_NCHW and test_x_NCHW are then mapped.
    """

    name: str
    x_NCHW: Tensor
    y_N: Tensor | None = None
    test_x_NCHW: Tensor | None = None
    test_y_N: Tensor | None = None
    held_out_reference: bool = False
    file: Path | None = None
    sha256: str = ""

    def __post_init__(self) -> None:
        assert not self.held_out_reference or self.test_x_NCHW is not None
        self._check("x_NCHW", self.x_NCHW, self.y_N)
        if self.test_x_NCHW is not None:
            self._check("test_x_NCHW", self.test_x_NCHW, self.test_y_N)
            if self.test_x_NCHW.shape[1:] != self.x_NCHW.shape[1:]:
                raise ValueError(
                    f"Images of data set '{self.name}' must have one shape, but got "
                    f"{tuple(self.x_NCHW.shape[1:])} and, held out, {tuple(self.test_x_NCHW.shape[1:])}"
                )
        sha256 = sha256_of(self.x_NCHW, self.y_N, self.test_x_NCHW, self.test_y_N)
        object.__setattr__(self, "sha256", sha256)

    def _check(self, field: str, x_NCHW: Tensor, y_N: Tensor | None) -> None:
        where = f"`{field}` of data set '{self.name}'"
        if x_NCHW.ndim != 4 or x_NCHW.shape[0] < 2 or 0 in x_NCHW.shape:
            raise ValueError(
                f"{where} must be (N, C, H, W) with at least 2 images, but got {tuple(x_NCHW.shape)}"
            )
        if x_NCHW.dtype not in (torch.uint8, torch.float32):
            raise ValueError(f"{where} must be uint8 or float32, but got {x_NCHW.dtype}")
        if x_NCHW.dtype == torch.float32 and not bool((x_NCHW.abs() <= 1).all()):
            low, high = x_NCHW.min().item(), x_NCHW.max().item()
            raise ValueError(f"{where} must lie in [-1, 1], but goes from {low:g} to {high:g}")
        if y_N is not None and (y_N.shape != x_NCHW.shape[:1] or y_N.dtype != torch.int64):
            raise ValueError(
                f"Labels of {where} must be int64 of shape ({len(x_NCHW)},), but got {y_N.dtype} of "
                f"shape {tuple(y_N.shape)}"
            )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        _, channels, height, width = self.x_NCHW.shape
        return channels, height, width

    @property
    def reference_NCHW(self) -> Tensor:
        """The real images that samples are compared with."""
        if self.held_out_reference and self.test_x_NCHW is not None:
            return self.test_x_NCHW
        return self.x_NCHW

    def in_file(self, name: str) -> MappedTensor | None:
        """What another process is sent in place of `x_NCHW` or `test_x_NCHW`; None where it is sent itself."""
        return None if self.file is None else MappedTensor.of(self.file, name)


@dataclass(frozen=True)
class Glance:
    """What is known of a data set without reading all of it."""

    image_shape: tuple[int, int, int]
    has_labels: bool


@dataclass(frozen=True, kw_only=True)
class Dataset(ABC):
    """Base of `trainable/data/`: the fields are what a search file may set, `load` does the work."""

    __pydantic_config__ = STRICT

    # What a search uses when it names none: its network, its feature network (None: it must name one), and another one,
    # a name or a mapping with options, by which the samples of its winner are measured too, so that no one feature
    # network decides (None: there is none).
    NETWORK: ClassVar[str] = "unet"
    EXTRACTOR: ClassVar[str | None] = "pixels"
    SECOND_EXTRACTOR: ClassVar[str | Mapping[str, Any] | None] = "pixels"
    # Options that name a file or folder: relative to the search file, and no part of what a search is.
    PATHS: ClassVar[tuple[str, ...]] = ()

    def check(self) -> None:
        """Quick, before anything is read: ValueError with one line where a file or a package is missing."""
        return

    def glance(self, cache_dir: Path) -> Glance:
        """What the images are like, as quickly as can be told. ValueError as of `load`."""
        images = self.load(cache_dir)
        return Glance(images.image_shape, images.y_N is not None)

    @abstractmethod
    def load(self, cache_dir: Path) -> Images:
        """The images. May download into `cache_dir`, verified by checksum, and nowhere else.

        Raises ValueError with one line that names the remedy when the data is absent or damaged.
        """

    def downloads(self, cache_dir: Path) -> Sequence[Remote]:
        """The files that `load` takes from the web where they are not there yet."""
        return ()


DATASETS: Registry[Dataset] = Registry("trainable.data", Dataset, "data set")  # type: ignore[type-abstract]
