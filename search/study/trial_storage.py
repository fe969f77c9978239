"""What the trials of a search keep: models, pictures, and what is found out about them."""

import json
import secrets
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search.errors import InputError, OperationFailed
from trainable.storage.folder import Folder, StorageError
from trainable.storage.location import open_folder, under

_MARK = "study-"
_MOST_TRIES = 20


class DamagedFile(OperationFailed):
    """A file of a trial that does not hold what it should."""


class TrialStorage:
    """The folders of a search's trials, at one location that belongs to one study for good.

    Trials are known by the search's name and a number: two studies at one location would go on from each other's
    checkpoints.
    location: a folder that all machines share, or a place in a bucket (`trainable/storage/location.py`).
    """

    def __init__(self, location: str | Path):
        self.location = str(location)

    def location_of(self, number: int, *names: str) -> str:
        """Where trial `number` keeps its files; with a name, where that file is."""
        return under(self.location, "trials", f"{number:05d}", *names)

    def folder(self, number: int) -> Folder:
        """The files of trial `number`; it need not have any."""
        return open_folder(self.location_of(number))

    def names(self) -> list[str]:
        """All files of all trials, as "trials/00007/samples.png". Raises StorageError."""
        return open_folder(self.location).names(below=True)

    def read_json(self, number: int, name: str) -> Any:
        """What a JSON file of trial `number` holds, None if there is none.

        Raises DamagedFile if it is no JSON, OperationFailed if the storage cannot be read.
        """
        try:
            data = self.folder(number).read(name)
            return None if data is None else json.loads(data)
        except StorageError as error:
            raise OperationFailed(str(error)) from error
        except (ValueError, RecursionError) as error:
            raise DamagedFile(f"{self.location_of(number, name)} cannot be read: {error}") from error

    def write_json(self, number: int, name: str, content: Mapping[str, Any]) -> str:
        """Keep `content`, which has no NaN, in a file of trial `number`, and return where. Raises OperationFailed."""
        text = json.dumps(content, indent=1, allow_nan=False) + "\n"
        try:
            self.folder(number).write(name, text.encode())
        except StorageError as error:
            raise OperationFailed(str(error)) from error
        return self.location_of(number, name)

    def take_ownership(self, study_id: str) -> str:
        """Make this the study's, and return the name of the file by which workers know it again.

        InputError where it is another study's. Of two at the same time, one wins: a study that has no mark here puts
        one, then looks. Buckets and file systems show a mark to whoever looks after it was put, so at most one study
        can see itself alone. A study that does not see itself alone takes its mark away and tries again. A study whose
        mark was there before waits for the others to do that.
        """
        own = f"{_MARK}{study_id}"
        try:
            if self._is_alone(own):
                return own
            others = sorted({*self._marks()} - {own})
        except StorageError as error:
            raise OperationFailed(f"storage.path: {error}") from error
        raise InputError(
            f"{self.location} holds trials of another study with this search's name ({', '.join(others)}). Give this "
            "search another `name`; or name the database of that study in `storage.study_url`; or, if it is not needed "
            "any more, remove what is there"
        )

    def _is_alone(self, own: str) -> bool:
        """Whether the mark `own` is the only one in the end; a new one is taken away where it is not."""
        folder, marks = open_folder(self.location), self._marks()
        is_new = own not in marks
        for _ in range(_MOST_TRIES):
            if is_new:
                if marks:
                    return False
                folder.write(own, f"{socket.gethostname()}\n".encode())
                marks = self._marks()
            if marks == [own]:
                return True
            if is_new:
                folder.remove(own)
            time.sleep(secrets.randbelow(1000) / 1000)
            marks = self._marks()
        return False

    def _marks(self) -> list[str]:
        return [name for name in open_folder(self.location).names() if name.startswith(_MARK)]
