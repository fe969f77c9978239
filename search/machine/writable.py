"""Whether something can be kept in a folder. It is tried: rights do not tell of /proc, full disks, read-only mounts."""

import tempfile
from pathlib import Path


def why_not_writable(folder: Path) -> str | None:
    """Why nothing can be kept in `folder`, which may have to be made; None if all is well. Nothing is left there."""
    try:
        existing = nearest_existing(folder)
        if not existing.is_dir():
            return f"{existing} is no folder"
        with tempfile.TemporaryDirectory(prefix=".probe-", dir=existing) as probe:
            (Path(probe) / "file").write_bytes(b"probe")
    except OSError as error:
        return f"{existing} cannot be written to: {error.strerror or error}"
    return None


def nearest_existing(path: Path) -> Path:
    """`path`, or the first of the folders above it that is there and may be looked at."""
    while path != path.parent and not _is_there(path):
        path = path.parent
    return path


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a folder above it may not be entered
        return False
