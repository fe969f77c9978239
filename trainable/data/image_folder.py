"""Pictures of one's own, in a folder or in a .zip."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from trainable.data._files import pictures_in
from trainable.data._own import OwnPictures, existing
from trainable.data._source import Source


@dataclass(frozen=True, kw_only=True)
class ImageFolder(OwnPictures):
    """Pictures of your own: PNG, JPEG or WebP, in a folder or a .zip (docs/your-data.md).

    path: that folder or .zip, relative to the search file. Labels, where there are some: `dataset.json` as EDM's
    dataset tool writes it, else the names of the sub-folders in which all pictures lie. size: the centre square of each
    picture becomes so many pixels wide and high; without it all must be of one size. color: `grey` or `rgb`, to convert
    pictures of several kinds; without it all must be of one. held_out: share that is not learnt from, and that samples
    are compared with.
    """

    path: str

    PATHS: ClassVar[tuple[str, ...]] = ("path",)

    def check(self) -> None:
        existing(self.path)

    def source(self, cache_dir: Path) -> Source:
        return pictures_in(existing(self.path), self.fit)
