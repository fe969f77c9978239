"""Where a trial keeps its files: a folder that all machines share, or a place in a bucket (`trainable/bucket.py`).

A location is a path, or a URL s3://BUCKET/PATH or gs://BUCKET/PATH. Files are small enough to be held in memory, and
are whole or absent.
"""

import errno
import logging
import os
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from trainable.atomic import write_atomically

_LONGEST_PAUSE = 30.0  # between two tries of a patient caller
# What a network file system says while its server, or the way to it, is away.
_PASSING = (
    errno.EIO,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.EAGAIN,
    errno.EINTR,
    errno.EBUSY,
    errno.EREMOTEIO,
    errno.ECOMM,
    errno.ENOLINK,
    errno.ENOTCONN,
    errno.ESHUTDOWN,
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.ECONNABORTED,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.ENETRESET,
)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class StorageError(RuntimeError):
    """A folder or bucket that cannot be used. One line: what, why, what to do."""


@dataclass(frozen=True)
class Trouble:
    """An error of a storage in our words. lasting: whether trying again is useless."""

    what: str
    remedy: str
    lasting: bool


class Folder(ABC):
    """Files by name. Every method may raise StorageError.

    location: what `open_folder` was given. is_remote: whether a write takes so long that it is worth doing behind
    the training. patience_seconds: how long a call tries again where the storage does not answer for a while.
    """

    is_remote = False

    def __init__(self, location: str, patience_seconds: float = 0.0):
        self.location = location
        self._patience = patience_seconds

    @abstractmethod
    def names(self, *, below: bool = False) -> list[str]:
        """Names of the files, sorted, none where there is no such folder. below: those in folders too, as "a/b"."""

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """What is in the file, None if there is none."""

    @abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """The file holds exactly `data` when this returns. Folders need not be made first."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove the file, if it is there."""

    @abstractmethod
    def _trouble(self, error: Exception) -> Trouble:
        """What an error of the library underneath means."""

    def _call(self, verb: str, action: Callable[[], _T]) -> _T:
        """What `action` returns, tried again for `patience_seconds` where that may help. StorageError if it fails."""
        deadline, pause = time.monotonic() + self._patience, 1.0
        while True:
            try:
                return action()
            except (OSError, ValueError, RuntimeError) as error:
                found = self._trouble(error)
                if found.lasting or time.monotonic() + pause > deadline:
                    message = f"{self.location} cannot be {verb}: {found.what}. {found.remedy}"
                    raise StorageError(message) from error
                _log.warning(
                    "%s cannot be %s: %s. Trying again in %.0f s", self.location, verb, found.what, pause
                )
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


class LocalFolder(Folder):
    """A folder of this machine, or of a network file system."""

    def __init__(self, location: str, patience_seconds: float = 0.0):
        super().__init__(location, patience_seconds)
        self._path = Path(location)

    def names(self, *, below: bool = False) -> list[str]:
        def found() -> list[str]:
            # Not Path.glob: it takes a folder that cannot be read for an empty one.
            paths = []
            for folder, _, files in os.walk(self._path, onerror=_raise_unless_gone):
                paths += [Path(folder, name) for name in files]
                if not below:
                    break
            return sorted(path.relative_to(self._path).as_posix() for path in paths)

        return self._call("listed", found)

    def read(self, name: str) -> bytes | None:
        def get() -> bytes | None:
            try:
                return (self._path / name).read_bytes()
            except FileNotFoundError:
                return None

        return self._call("read", get)

    def write(self, name: str, data: bytes) -> None:
        self._call("written", lambda: write_atomically(self._path / name, data))

    def remove(self, name: str) -> None:
        self._call("cleared", lambda: (self._path / name).unlink(missing_ok=True))

    def _trouble(self, error: Exception) -> Trouble:
        number = getattr(error, "errno", None)
        what = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        if number in _PASSING:
            return Trouble(what, "Is it mounted on this machine, and is its server well?", lasting=False)
        if number in _FULL:
            return Trouble(what, "Make room there", lasting=True)
        return Trouble(
            what, "Give the user that runs this the right to it, or correct storage.path", lasting=True
        )


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def is_bucket(location: str | Path) -> bool:
    """Whether a location is a URL. All that looks like one counts, so that no typing error becomes a folder."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", str(location)) is not None


def under(location: str | Path, *names: str) -> str:
    """The location below `location`."""
    if not is_bucket(location):
        return str(Path(location, *names))
    url, mark, query = str(location).partition("?")
    return "/".join([url.rstrip("/"), *names]) + mark + query


def open_folder(location: str | Path, *, patience_seconds: float = 0.0) -> Folder:
    """The folder at a location; it need not exist.

    patience_seconds: how long a call tries again where the storage does not answer for a while.
    """
    if not is_bucket(location):
        return LocalFolder(str(location), patience_seconds)
    from trainable.bucket import BucketFolder, BucketUrl  # late: its libraries take a moment

    return BucketFolder.at(BucketUrl.parse(str(location)), patience_seconds)
