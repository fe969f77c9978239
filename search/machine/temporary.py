"""Temporary folders of this process that are gone when it ends, also where it ends at once."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "search-"  # of all of them; the number of the process that made it follows

_open: set[Path] = set()


def temporary_root() -> Path:
    """Where this user's temporary files go; /tmp where nothing can be written anywhere, as whoever tries will hear."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        return Path("/tmp")


@contextmanager
def temporary_folder(prefix: str, root: Path | None = None) -> Iterator[Path]:
    """A folder of an unpredictable name, for this user alone. root: where; None: where temporary files go."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=root or temporary_root()))
    _open.add(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _open.discard(folder)


def remove_folders_of(process: int) -> None:
    """Remove what another process of this program, which was ended inside its blocks, has left."""
    for folder in temporary_root().glob(f"{PREFIX}{process}-*"):
        shutil.rmtree(folder, ignore_errors=True)


def remove_folders() -> None:
    """Remove those that are open: the process ends without leaving its blocks."""
    for folder in _open:
        shutil.rmtree(folder, ignore_errors=True)
