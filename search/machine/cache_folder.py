"""Where this machine keeps what can be had again: downloaded data, trained feature networks, reference statistics."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from search.errors import InputError, OperationFailed
from search.machine.writable import why_not_writable
from trainable.storage.path import expanded

CACHE_VARIABLE = "SCHEDULE_SEARCH_CACHE"
REMEDY = f"Name another folder in {CACHE_VARIABLE}"
_NAME = "schedule-search"


def cache_folder() -> Path:
    """The folder, absolute; it need not exist. For all checkouts of this user on this machine.

    That of SCHEDULE_SEARCH_CACHE, else `schedule-search` in that of XDG_CACHE_HOME, else in ~/.cache.
    """
    given, base = os.environ.get(CACHE_VARIABLE), os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # the standard (XDG Base Directory 0.8) has such a value ignored
        base = "~/.cache"
    try:
        return expanded(given or Path(base, _NAME)).absolute()
    except ValueError as error:
        raise InputError(f"the cache folder {error}, in {CACHE_VARIABLE}") from None


@contextmanager
def usable_cache() -> Iterator[Path]:
    """The folder, for a block that makes what is missing in it.

    InputError where it cannot be written to, OperationFailed where it no longer can be in the block.
    """
    folder = cache_folder()
    check_cache(folder)
    try:
        yield folder
    except OSError as error:
        if error.filename is None or not Path(os.fsdecode(error.filename)).is_relative_to(folder):
            raise
        raise OperationFailed(
            f"the cache folder {folder} cannot be used: {error.strerror or error}. Make room there, or name another "
            f"one in {CACHE_VARIABLE}"
        ) from error


def check_cache(folder: Path) -> None:
    """InputError where it cannot be written to."""
    why = why_not_writable(folder)
    if why is not None:
        raise InputError(f"the cache folder {folder} cannot be used: {why}. {REMEDY}")
