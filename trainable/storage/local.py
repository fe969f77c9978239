"""A folder of a file system that all machines share."""

import errno
import os
from pathlib import Path

from trainable.storage.atomic import write_atomically
from trainable.storage.folder import Folder, Trouble

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

    def check_there(self) -> None:
        """Nothing: folders are made where they are missing."""

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
