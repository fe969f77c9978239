"""What all data sets of a user's own have in common: options, and a file in the cache folder that is made once."""

import dataclasses
import socket
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from spaces.registry import name_of
from trainable.data._picture import Color, Fit
from trainable.data._prepared import prepared
from trainable.data._source import Source
from trainable.dataset import Dataset, Glance, Images
from trainable.storage.path import expanded


@dataclass(frozen=True, kw_only=True)
class OwnImages(Dataset):
    """Base of `image_folder`, `arrays` and `hugging_face`. A search must say by which features they are compared."""

    held_out: float = 0.0

    EXTRACTOR: ClassVar[str | None] = None
    SECOND_EXTRACTOR: ClassVar[None] = None
    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {"held_out": (0.0, 0.9)}

    def __post_init__(self) -> None:
        for option, (low, high) in self.BOUNDS.items():
            value = getattr(self, option)
            if value is not None and not low <= value <= high:
                raise ValueError(f"`{low:g} <= {option} <= {high:g}` must hold, but got {option}={value!r}")

    @abstractmethod
    def source(self, cache_dir: Path) -> Source:
        """The images as they are. ValueError with one line where they cannot be had."""

    def glance(self, cache_dir: Path) -> Glance:
        source = self.source(cache_dir)
        channels, height, width = source.first().shape
        return Glance((channels, height, width), source.has_labels)

    def load(self, cache_dir: Path) -> Images:
        options = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for path in self.PATHS:  # where they lie is none of their content
            options.pop(path)
        return prepared(cache_dir, name_of(self), options, self.source(cache_dir), self.held_out)


@dataclass(frozen=True, kw_only=True)
class OwnPictures(OwnImages):
    """Base of those whose images are in picture formats."""

    size: int | None = None
    color: Color | None = None

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {**OwnImages.BOUNDS, "size": (4, 1024)}

    @property
    def fit(self) -> Fit:
        """What each picture is made into."""
        return Fit(self.size, self.color)


def existing(path: str) -> Path:
    """The file or folder that `path` names. ValueError where it is not on this machine."""
    found = expanded(path)
    if not found.exists():
        raise ValueError(
            f"{path} is not on {socket.gethostname()}. A search reads its data where it is run: put it there, or name "
            "another `path`, relative to the search file or absolute"
        )
    return found
