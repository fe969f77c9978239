"""The process that drives a search on this machine."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from search.errors import InputError, OperationFailed
from search.machine.holder import Holder, holder_of

LOCK_FILE = ".lock"  # held by the driver, with its process id in it


def driver_of(folder: Path) -> AbstractContextManager[Holder | None]:
    """The driver of the search in `folder`, None if there is none on this machine. SIGINT stops it as Ctrl-C does."""
    return holder_of(folder / LOCK_FILE)


def is_driven(folder: Path) -> bool:
    """Whether the search in `folder` is being run on this machine."""
    with driver_of(folder) as driver:
        return driver is not None


@contextmanager
def only_driver(folder: Path, stop: str) -> Iterator[None]:
    """Drive the search in `folder`: a second driver is refused as long as this one lives, killed or not.

    stop: the command that stops it, for the one that is refused.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        file = (folder / LOCK_FILE).open("a+")
    except OSError as error:
        raise InputError(
            f"{folder / LOCK_FILE} cannot be written: {error.strerror}. Make it a file of your user, or remove it"
        ) from error
    with file as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise OperationFailed(
                f"search {folder.name!r} is being run by process {lock.read().strip() or 'unknown'}. "
                f"Wait for it, or run: {stop}"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
