"""What a log says last."""

import os
from collections.abc import Iterable
from pathlib import Path

_BYTES = 8192  # of the end of a file
_LENGTH = 200


def last_words(path: Path, but: str = "") -> str:
    """The last line of the file that says something, cut to 200 characters; "" if there is none.

    but: lines with this text in them are passed over.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    said = (" ".join(line.split()) for line in reversed(lines) if not (but and but in line))
    return next((line[:_LENGTH] for line in said if line), "")


def newest_with_words(paths: Iterable[Path]) -> Path | None:
    """Of these files, the one that was written to last and says something."""
    found = []
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue
        if status.st_size:
            found.append((status.st_mtime, path))
    return max(found, default=(0.0, None))[1]
