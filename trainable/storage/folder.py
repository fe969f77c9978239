"""What a trial's storage is: a flat folder of small files."""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

_LONGEST_PAUSE = 30.0  # between two tries of a patient caller
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
    def check_there(self) -> None:
        """StorageError where what the folder lies in is gone, such as its bucket: who reads takes that for no file."""

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
