"""What takes long to work out for a page, kept in the search's folder under a checksum of all that it follows from."""

import contextlib
import json
from pathlib import Path
from typing import Any

from trainable.storage.atomic import write_atomically


def kept(folder: Path | None, file: str, key: str) -> dict[str, Any] | None:
    """What is kept under that key; None if nothing is, or if it is damaged."""
    if folder is None:
        return None
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
        found = json.loads((folder / file).read_bytes())
        if found.pop("key") == key:
            return dict(found)
    return None


def keep(folder: Path | None, file: str, key: str, found: dict[str, Any]) -> None:
    """Keep it for the next page; where that cannot be, it is worked out again."""
    if folder is not None and folder.is_dir():
        with contextlib.suppress(OSError):
            write_atomically(folder / file, json.dumps({"key": key, **found}).encode())
