"""What is prepared: images of the user's, wherever they come from. Axes: N images, C channels, H height, W width."""

import lzma
import os
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from trainable.data._picture import Fit, Unusable, pixels

Array = np.ndarray[Any, np.dtype[Any]]
# Raised for a member of a .zip that is damaged or cut, encrypted, or packed in a way that Python does not know.
DAMAGED_ZIP = (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)
_AT_ONCE = 1024  # pictures that are read before the first of them is taken


class Source(ABC):
    """Images in an order of their own. ValueError with one line from any of these where they cannot be used."""

    @property
    @abstractmethod
    def place(self) -> str:
        """Where the images come from, for messages."""

    @abstractmethod
    def __len__(self) -> int:
        """N."""

    @abstractmethod
    def stamp(self) -> Any:
        """Plain data that changes whenever the images or their labels do; quick, nothing is decoded."""

    @abstractmethod
    def labels(self) -> Array | None:
        """int64 (N,), from 0 on; None without."""

    @property
    def has_labels(self) -> bool:
        """Whether there are labels; quick."""
        return self.labels() is not None

    @abstractmethod
    def first(self) -> Array:
        """The first image (C, H, W), uint8 or float32 in [-1, 1]: all others have its type and shape."""

    @abstractmethod
    def images(self, order: Sequence[int]) -> Iterator[Array]:
        """The images with these numbers, (C, H, W) each."""


class Pictures(Source):
    """Images in the formats of pictures. Decoded by as many threads as there are CPUs: Pillow lets them run."""

    def __init__(self, fit: Fit):
        self._fit = fit

    @abstractmethod
    def where(self, index: int) -> str:
        """How a message names the picture."""

    @abstractmethod
    def read(self, index: int) -> bytes:
        """The file of the picture."""

    def first(self) -> Array:
        found = self._decoded(0)
        if isinstance(found, str):
            raise ValueError(f"{self.where(0)} {found}")
        return found

    def images(self, order: Sequence[int]) -> Iterator[Array]:
        first, faults = self.first(), []
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            for part in _parts(order):
                for index, found in zip(part, pool.map(self._decoded, part), strict=True):
                    fault = found if isinstance(found, str) else self._why_unlike(found, first)
                    if fault is not None:
                        faults.append(f"{self.where(index)} {fault}")
                    elif not faults and not isinstance(found, str):
                        yield found
        if faults:
            if len(faults) == 1:
                raise ValueError(faults[0])
            raise ValueError(f"{faults[0]}. It is the first of {len(faults)} pictures that cannot be used")

    def _decoded(self, index: int) -> Array | str:
        """The picture (C, H, W), or why it cannot be used."""
        try:
            return np.ascontiguousarray(pixels(self.read(index), self._fit).transpose(2, 0, 1))
        except Unusable as reason:
            return str(reason)
        except OSError as error:
            return f"cannot be read: {error.strerror or error}"

    def _why_unlike(self, image: Array, first: Array) -> str | None:
        if image.shape == first.shape:
            return None
        if image.shape[0] != first.shape[0]:
            kinds = {1: "grey", 3: "RGB"}
            return (
                f"is {kinds[image.shape[0]]}, but {self.where(0)} is {kinds[first.shape[0]]}. Set `color: rgb` or "
                "`color: grey` for all"
            )
        sizes = [f"{array.shape[2]}x{array.shape[1]}" for array in (image, first)]
        return f"is {sizes[0]}, but {self.where(0)} is {sizes[1]}. Set `size` to make all of one size"


def _parts(order: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(order), _AT_ONCE):
        yield order[start : start + _AT_ONCE]
