"""MNIST, KMNIST and other data sets in the four files of MNIST."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from trainable.data._idx import read_folder
from trainable.dataset import Dataset, Images
from trainable.storage.path import expanded


@dataclass(frozen=True, kw_only=True)
class IdxFolder(Dataset):
    """Any labelled grey images in a folder with the four gzipped idx files of MNIST (no download).

    root: that folder. Which images they were is told by the data checksum, not by the name.
    """

    root: str

    EXTRACTOR: ClassVar[str] = "small_cnn"
    PATHS: ClassVar[tuple[str, ...]] = ("root",)

    def load(self, cache_dir: Path) -> Images:
        return read_folder("idx_folder", expanded(self.root))
