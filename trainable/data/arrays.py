"""Images of one's own as a numpy array."""

import tokenize
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from trainable.data._own import OwnImages, existing
from trainable.data._source import DAMAGED_ZIP, Array, Source

MOST_CHANNELS = 4  # an axis as long may be that of the channels
# numpy parses the head of an array as Python.
_UNREADABLE = (*DAMAGED_ZIP, ValueError, SyntaxError, tokenize.TokenError)


@dataclass(frozen=True, kw_only=True)
class Arrays(OwnImages):
    """Images of your own in a numpy file: .npy, or an array in an .npz (docs/your-data.md).

    path: that file, relative to the search file. key: name of the array in an .npz that has several; labels: name of
    the one with whole numbers from 0 on. layout: of its axes, N H W for grey; it need not be said where one axis alone
    can be that of the channels. range: the values that become black and white, for any type but uint8. held_out: share
    that is not learnt from, and that samples are compared with.
    """

    path: str
    key: str | None = None
    labels: str | None = None
    layout: Literal["NHWC", "NCHW", "NHW"] | None = None
    range: tuple[float, float] | None = None

    PATHS: ClassVar[tuple[str, ...]] = ("path",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError(f"`range[0] < range[1]` must hold, but got range={list(self.range)}")

    def check(self) -> None:
        existing(self.path)

    def source(self, cache_dir: Path) -> Source:
        return _File(self, existing(self.path))


class _File(Source):
    """The array of a file: mapped where it is an .npy, read whole where it is in an .npz."""

    def __init__(self, options: Arrays, path: Path):
        self._options, self._path = options, path
        self._labels: Array | None = None
        try:
            self._images = self._of_npz() if zipfile.is_zipfile(path) else self._of_npy()
        except _UNREADABLE as error:
            if isinstance(error, _Refused):
                raise
            # numpy's own words advise to load pickled objects, which runs what is in them.
            reason = getattr(error, "strerror", None) or "it is cut, or holds no plain array"
            raise ValueError(
                f"{path} cannot be read as a numpy file: {reason}. Write it with np.save"
            ) from error
        self._axes = self._checked_axes()
        self._check_range()

    @property
    def place(self) -> str:
        return str(self._path)

    def _of_npy(self) -> Array:
        if self._options.key is not None or self._options.labels is not None:
            raise _Refused(
                f"{self._path} is one array, without `key` and `labels`. Leave them out, or take an .npz"
            )
        images: Array = np.lib.format.open_memmap(self._path, mode="r")
        return images

    def _of_npz(self) -> Array:
        options = self._options
        with np.load(self._path, allow_pickle=False) as content:
            for name in filter(None, (options.key, options.labels)):
                if name not in content.files:
                    raise _Refused(f"{self._path} has no array {name!r}. It has: {', '.join(content.files)}")
            names = [name for name in content.files if name != options.labels]
            if options.key is None and len(names) != 1:
                raise _Refused(
                    f"{self._path} has {len(names)} arrays that may be the images: {', '.join(names)}. Set `key` to one"
                )
            if options.labels is not None:
                self._labels = content[options.labels]
            images: Array = content[options.key or names[0]]
        return images

    def _checked_axes(self) -> tuple[int, ...]:
        """The order of axes that makes it (N, C, H, W); for (N, H, W) without C."""
        shape = self._images.shape
        layout: str | None = self._options.layout
        if layout is None:
            possible = ["NHW"] if len(shape) == 3 else []
            if len(shape) == 4:
                possible = ["NCHW"] * (shape[1] <= MOST_CHANNELS) + ["NHWC"] * (shape[3] <= MOST_CHANNELS)
            if len(possible) != 1:
                raise _Refused(
                    f"{self._path} has shape {shape}, which does not tell its layout. Set `layout` to NHWC, NCHW or NHW"
                )
            layout = possible[0]
        if len(shape) != len(layout) or 0 in shape:
            raise _Refused(
                f"{self._path} has shape {shape}, which is no {layout}. Set `layout`, or write another array"
            )
        return tuple(layout.index(axis) for axis in "NCHW" if axis in layout)

    def _check_range(self) -> None:
        dtype, range_ = self._images.dtype, self._options.range
        if dtype == np.uint8:
            if range_ is not None:
                raise _Refused(f"{self._path} has uint8, for which `range` has no effect. Leave it out")
        elif dtype.kind not in "fiu":
            raise _Refused(f"{self._path} has values of type {dtype}. Write it as uint8 or as float32")
        elif range_ is None:
            raise _Refused(
                f"{self._path} has values of type {dtype}, whose range cannot be guessed. Set `range` to the values of "
                "black and white, such as [0, 1] or [-1, 1]"
            )

    def __len__(self) -> int:
        return len(self._images)

    def stamp(self) -> Any:
        found = self._path.stat()
        return [found.st_size, found.st_mtime_ns, found.st_ctime_ns]

    @property
    def has_labels(self) -> bool:
        return self._options.labels is not None

    def labels(self) -> Array | None:
        name = self._options.labels
        if name is None:
            return None
        labels_N = self._labels
        assert labels_N is not None
        is_whole = labels_N.shape == (len(self),) and labels_N.dtype.kind in "iu"
        if not is_whole or labels_N.astype(np.int64).min() < 0:  # -1 may be written as 2^64 - 1
            raise ValueError(
                f"{self._path}: labels must be {len(self)} whole numbers from 0 on, but {name!r} has shape "
                f"{labels_N.shape} and type {labels_N.dtype}. Mend it, or leave out `labels`"
            )
        return labels_N.astype(np.int64)

    def first(self) -> Array:
        return next(self.images([0]))

    def images(self, order: Sequence[int]) -> Iterator[Array]:
        inner = [axis - 1 for axis in self._axes[1:]]
        for index in order:
            image = np.asarray(self._images[index]).transpose(inner)
            image = image[None] if image.ndim == 2 else image
            yield image if image.dtype == np.uint8 else self._scaled(image, index)

    def _scaled(self, image: Array, index: int) -> Array:
        """float32 in [-1, 1]."""
        assert self._options.range is not None
        low, high = self._options.range
        least, most = float(image.min()), float(image.max())
        if not (low <= least and most <= high):  # NaN fails too
            raise ValueError(
                f"{self._path}: image {index} goes from {least:g} to {most:g}, but range is [{low:g}, {high:g}]. Set "
                "`range` to what all values lie in, or mend the image"
            )
        scaled = (image.astype(np.float64) - low) / (high - low) * 2 - 1
        return scaled.astype(np.float32)


class _Refused(ValueError):
    """A file that can be read, and is not what the options say."""
