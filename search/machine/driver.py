"""The process that drives a search on this machine."""

from contextlib import AbstractContextManager
from pathlib import Path

from search.machine.holder import Holder, holder_of

LOCK_FILE = ".lock"  # held by the driver, with its process id in it


def driver_of(folder: Path) -> AbstractContextManager[Holder | None]:
    """The driver of the search in `folder`, None if there is none on this machine. SIGINT stops it as Ctrl-C does."""
    return holder_of(folder / LOCK_FILE)


def is_driven(folder: Path) -> bool:
    """Whether the search in `folder` is being run on this machine."""
    with driver_of(folder) as driver:
        return driver is not None
