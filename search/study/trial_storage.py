"""Whose the trials' storage is: one study's, for good.

Trials are known by the search's name and a number: two studies in one place would go on from each other's checkpoints.
"""

import secrets
import socket
import time
from pathlib import Path

from search.errors import InputError, OperationFailed
from trainable.storage.folder import Folder, StorageError
from trainable.storage.location import under
from trainable.storage.open import open_folder

SAMPLING_FILE = "sampling.json"  # in the folder of a trial whose model was sampled
_MARK = "study-"
_MOST_TRIES = 20


def mark_of(study_id: str) -> str:
    """Name of the file by which the storage shows whose it is, to drivers and to workers."""
    return f"{_MARK}{study_id}"


def take_ownership(location: str, study_id: str) -> None:
    """Make `location` that of the study; InputError where it is another's. Of two at the same time, one wins.

    A study that has no mark there puts one, then looks. Buckets and file systems show a mark to whoever looks after
    it was put, so at most one study can see itself alone; who does not, takes its mark away and tries again. A study
    whose mark was there before waits for the others to do that.
    """
    folder, own = open_folder(location), mark_of(study_id)
    try:
        marks = _marks(folder)
        is_new = own not in marks
        for _ in range(_MOST_TRIES):
            if is_new:
                if marks:
                    break
                folder.write(own, f"{socket.gethostname()}\n".encode())
                marks = _marks(folder)
            if marks == [own]:
                return
            if is_new:
                folder.remove(own)
            time.sleep(secrets.randbelow(1000) / 1000)
            marks = _marks(folder)
    except StorageError as error:
        raise OperationFailed(f"storage.path: {error}") from error
    raise InputError(
        f"{location} holds trials of another study with this search's name ({', '.join(set(marks) - {own})}). Give "
        "this search another `name`; or name the database of that study in `storage.study_url`; or, if it is not "
        "needed any more, remove what is there"
    )


def _marks(folder: Folder) -> list[str]:
    return [name for name in folder.names() if name.startswith(_MARK)]


def trial_folder(trials: str | Path, number: int) -> str:
    """Where trial `number` keeps its checkpoints, its sample grid and what else is found out about it.

    trials: location (`trainable/storage/open.py`) of the search's trials.
    """
    return under(trials, "trials", f"{number:05d}")
