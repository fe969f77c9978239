"""Picture files in a folder or in a .zip, with labels in `dataset.json` (EDM's dataset tool) or as sub-folders."""

import json
import os
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from trainable.data._picture import OTHER_SUFFIXES, SUFFIXES, Fit
from trainable.data._source import DAMAGED_ZIP, Array, Pictures

LABELS_FILE = "dataset.json"


def pictures_in(path: Path, fit: Fit) -> Pictures:
    """The pictures in a folder or a .zip file. ValueError where it is neither, or has none."""
    try:
        return _Folder(path, fit) if path.is_dir() else _Zip(path, fit)
    except OSError as error:
        raise ValueError(f"{error.filename or path} cannot be read: {error.strerror or error}") from error


class _Files(Pictures, ABC):
    """Pictures by their names, in the order of the names. Hidden files, and those of no picture format, are none."""

    def __init__(self, path: Path, fit: Fit, listed: dict[str, Any]):
        """listed: all files with what changes when they do."""
        super().__init__(fit)
        self._path = path
        files = {name: stamp for name, stamp in sorted(listed.items()) if not _is_hidden(name)}
        self._stamps = {
            name: stamp
            for name, stamp in files.items()
            if name == LABELS_FILE or name.lower().endswith(SUFFIXES)
        }
        self._names = [name for name in self._stamps if name != LABELS_FILE]
        foreign = [name for name in files if name.lower().endswith(OTHER_SUFFIXES)]
        if foreign:
            more = f", and {len(foreign) - 1} others," if len(foreign) > 1 else ""
            raise ValueError(
                f"{self._where(foreign[0])}{more} cannot be used: PNG, JPEG and WebP are read. Convert or remove it"
            )
        if not self._names:
            raise ValueError(
                f"{path} has no pictures in it: PNG, JPEG and WebP are read. Name the folder or .zip that has them"
            )

    @abstractmethod
    def _where(self, name: str) -> str:
        """How a message names the file."""

    @abstractmethod
    def _bytes(self, name: str) -> bytes:
        """The file. OSError where it cannot be read."""

    @property
    def place(self) -> str:
        return str(self._path)

    def __len__(self) -> int:
        return len(self._names)

    def where(self, index: int) -> str:
        return self._where(self._names[index])

    def read(self, index: int) -> bytes:
        return self._bytes(self._names[index])

    def stamp(self) -> Any:
        return list(self._stamps.items())

    def labels(self) -> Array | None:
        if LABELS_FILE in self._stamps:
            return self._labels_of_file()
        folders = self._folders()
        if folders is None:
            return None
        number = {folder: index for index, folder in enumerate(sorted(set(folders)))}
        return np.array([number[folder] for folder in folders], dtype=np.int64)

    def _folders(self) -> list[str] | None:
        """The sub-folder of each picture, of those below which all lie apart; None where some lie beside them."""
        parts = [PurePosixPath(name).parts[:-1] for name in self._names]
        for level in range(min(map(len, parts))):
            folders = [each[level] for each in parts]
            if len(set(folders)) > 1:
                return folders
        return None

    def _labels_of_file(self) -> Array | None:
        where = self._where(LABELS_FILE)
        try:
            pairs = json.loads(self._bytes(LABELS_FILE))["labels"]
            found = None if pairs is None else dict(pairs)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(
                f'{where} must hold {{"labels": [["NAME", NUMBER], ...]}} or "labels": null, but cannot be read so '
                f"({type(error).__name__}). Mend or remove it"
            ) from error
        if found is None:
            return None
        for name in self._names:
            label = found.get(name)
            if type(label) is not int or not 0 <= label < 2**63:
                raise ValueError(
                    f"{where} must give each picture a whole number from 0 on, but {name} has {label!r:.40}. Mend or "
                    "remove it"
                )
        return np.array([found[name] for name in self._names], dtype=np.int64)


class _Folder(_Files):
    def __init__(self, path: Path, fit: Fit):
        super().__init__(path, fit, dict(_walked(path)))

    def _where(self, name: str) -> str:
        return str(self._path / name)

    def _bytes(self, name: str) -> bytes:
        return (self._path / name).read_bytes()


def _walked(path: Path) -> Iterator[tuple[str, Any]]:
    """Every file below, with its size and the times of its last changes; links are followed, in no circle."""
    seen: set[str] = set()
    for folder, below, names in os.walk(path, followlinks=True, onerror=_raise):
        real = os.path.realpath(folder)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        for name in names:
            whole = os.path.join(folder, name)
            relative = os.path.relpath(whole, path).replace(os.sep, "/")
            if _is_hidden(relative):
                continue
            found = os.stat(whole)
            yield relative, [found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _raise(error: OSError) -> None:
    raise error


class _Zip(_Files):
    def __init__(self, path: Path, fit: Fit):
        try:
            self._archive = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise ValueError(
                f"{path} is neither a folder nor a whole .zip file ({error}). Name one of the two"
            ) from error
        # The checksums of a .zip are of what is in it, whatever the file's own times.
        entries = {
            entry.filename: [entry.file_size, entry.CRC]
            for entry in self._archive.infolist()
            if not entry.is_dir()
        }
        super().__init__(path, fit, entries)

    def _where(self, name: str) -> str:
        return f"{self._path}: {name}"

    def _bytes(self, name: str) -> bytes:
        try:
            return self._archive.read(name)
        except DAMAGED_ZIP as error:
            raise OSError(f"{error}") from error


def _is_hidden(name: str) -> bool:
    return any(part != "." and part.startswith((".", "__MACOSX")) for part in name.split("/"))
