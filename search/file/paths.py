"""Where the files are that a search file names: beside it."""

import dataclasses
import os
from pathlib import Path
from typing import Any

from trainable.storage.path import expanded

CODE = "code"  # in the folder of a search, where its own networks are kept


def placed(chosen: Any, folder: Path | None) -> Any:
    """The choice with the absolute paths of the files that it names (`PATHS` of its class); see `placed_path`.

    Where the file of a network is not there, the copy that a search has kept of it is taken.
    """
    given = {option: getattr(chosen, option) for option in getattr(type(chosen), "PATHS", ())}
    moved = {option: str(placed_path(path, folder)) for option, path in given.items() if path is not None}
    if "file" in moved and folder is not None and not os.path.exists(moved["file"]):
        kept = folder / CODE / Path(moved["file"]).name
        moved["file"] = str(kept) if kept.exists() else moved["file"]
    return dataclasses.replace(chosen, **moved) if moved and folder is not None else chosen


def placed_path(path: str, folder: Path | None) -> Path:
    """A relative path is that of `folder`; where nothing is there, but in the current directory, it is that one's.

    folder: of the search file; None: nobody knows it, and the path stays as it is. ValueError for a home folder that
    there is not.
    """
    if folder is None:
        return expanded(path)
    here, there = (Path(os.path.normpath(base / expanded(path))) for base in (Path.cwd(), folder))
    return here if os.path.exists(here) and not os.path.exists(there) else there
