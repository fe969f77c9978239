"""Images of one's own as a data set of the library `datasets`."""

import threading
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from trainable.data._own import OwnPictures, existing
from trainable.data._source import Array, Pictures, Source

_SAVED = ("state.json", "dataset_dict.json")  # what `save_to_disk` leaves


@dataclass(frozen=True, kw_only=True)
class HuggingFace(OwnPictures):
    """Images of your own through Hugging Face's `datasets`, from files or from the hub (docs/your-data.md).

    path: a .parquet or .arrow file, a folder of those or of pictures, or what `save_to_disk` wrote; relative to the
    search file. Or repo: a name on the hub, with its `revision`, best a commit. subset, split: of it. image, label:
    columns, where they cannot be told. size, color, held_out: as of `image_folder`. Needs `datasets`.
    """

    path: str | None = None
    repo: str | None = None
    revision: str | None = None
    subset: str | None = None
    split: str = "train"
    image: str | None = None
    label: str | None = None

    PATHS: ClassVar[tuple[str, ...]] = ("path",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.path is None) == (self.repo is None):
            raise ValueError("one of `path` and `repo` must be given: files of yours, or a name on the hub")
        if (self.repo is None) != (self.revision is None):
            raise ValueError(
                "`repo` and `revision` must be given together: what a name on the hub stands for changes"
            )

    def check(self) -> None:
        _library()
        if self.path is not None:
            existing(self.path)

    def source(self, cache_dir: Path) -> Source:
        self.check()
        place = f"{self.repo} at {self.revision}" if self.path is None else self.path
        try:
            table = self._table(_library(), cache_dir / "hugging-face")
        except Exception as error:  # the library raises errors of many libraries
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise ValueError(
                f"{place} cannot be read by `datasets` ({reason}). Look at `path`, `repo`, `subset`, `split`"
            ) from error
        return _Table(self, place, table, _library())

    def _table(self, datasets: ModuleType, cache_dir: Path) -> Any:
        if self.path is None:
            return datasets.load_dataset(
                self.repo, self.subset, split=self.split, revision=self.revision, cache_dir=str(cache_dir)
            )
        path = existing(self.path)
        if any((path / name).is_file() for name in _SAVED):
            found = datasets.load_from_disk(str(path))
            return found[self.split] if isinstance(found, dict) else found
        options: dict[str, Any] = {"split": self.split, "cache_dir": str(cache_dir)}
        if path.is_file():
            return datasets.load_dataset(
                path.suffix.removeprefix("."), data_files={self.split: str(path)}, **options
            )
        return datasets.load_dataset(str(path), self.subset, **options)


def _library() -> ModuleType:
    try:
        import datasets
    except ImportError as error:
        raise ValueError(
            f"Data set 'hugging_face' needs the library datasets, which does not import ({error}). Run: pip install "
            "--constraint constraints.txt '.[data]'"
        ) from error
    datasets.disable_progress_bars()
    datasets.utils.logging.set_verbosity_error()
    return datasets


class _Table(Pictures):
    """The rows of a table: one column has the pictures, another one may have labels."""

    def __init__(self, options: HuggingFace, place: str, table: Any, datasets: ModuleType):
        super().__init__(options.fit)
        self._place, self._features = place, table.features
        self._image = options.image or self._only(datasets.Image, "image")
        self._label = options.label or self._only(datasets.ClassLabel, "label", is_needed=False)
        for option, name in (("image", self._image), ("label", self._label)):
            if name is not None and name not in table.features:
                raise ValueError(
                    f"{place} has no column {name!r}. Set `{option}` to one of {', '.join(table.features)}"
                )
        self._table = table.cast_column(self._image, datasets.Image(decode=False))
        self._stamp = [table._fingerprint, len(table), self._image, self._label]
        self._reading = threading.Lock()

    def _only(self, kind: type, option: str, *, is_needed: bool = True) -> str | None:
        """The one column of that kind; None without one that need not be."""
        names = [name for name, feature in self._features.items() if isinstance(feature, kind)]
        if len(names) == 1:
            return names[0]
        if not is_needed:
            return None
        raise ValueError(
            f"{self._place} has {len(names)} columns of images. Set `{option}` to one of {', '.join(self._features)}"
        )

    @property
    def place(self) -> str:
        return self._place

    def __len__(self) -> int:
        return len(self._table)

    def stamp(self) -> Any:
        return self._stamp

    @property
    def has_labels(self) -> bool:
        return self._label is not None

    def labels(self) -> Array | None:
        if self._label is None:
            return None
        labels = self._table[self._label]
        for index, label in enumerate(labels):
            if type(label) is not int or label < 0:
                raise ValueError(
                    f"{self._place}: labels must be whole numbers from 0 on, but row {index} of {self._label!r} has "
                    f"{label!r:.40}. Set `label` to another column, or mend it"
                )
        return np.array(list(labels), dtype=np.int64)

    def where(self, index: int) -> str:
        return f"{self._place}: image {index}"

    def read(self, index: int) -> bytes:
        with self._reading:
            found = self._table[index][self._image]
        if found is None:
            raise OSError("there is none in this row")
        data: bytes | None = found["bytes"]
        return Path(found["path"]).read_bytes() if data is None else data
