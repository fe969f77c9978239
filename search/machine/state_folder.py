"""The state folder of this machine's user, and private files in it."""

import os
import shlex
import stat
from pathlib import Path

from search.errors import InputError
from trainable.storage.atomic import atomic_file
from trainable.storage.path import expanded

HOME_VARIABLE = "SCHEDULE_SEARCH_HOME"


def home() -> Path:
    """The state folder; it need not exist."""
    try:
        return expanded(os.environ.get(HOME_VARIABLE) or "~/.schedule-search").absolute()
    except ValueError as error:
        raise InputError(f"the state folder {error}, or name another one in {HOME_VARIABLE}") from None


def make_home() -> Path:
    """The state folder, made if missing, for its owner alone. InputError if it belongs to someone else."""
    folder = home()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.geteuid():
            raise InputError(
                f"the state folder {folder} belongs to another user. Name another one in {HOME_VARIABLE}"
            )
        folder.chmod(0o700)
    except OSError as error:
        raise InputError(
            f"the state folder {folder} cannot be used: {error.strerror}. Name another one in {HOME_VARIABLE}"
        ) from error
    return folder


def read_private(path: Path) -> bytes | None:
    """What the file holds, None if there is none. InputError for one that is not ours, or that others may use."""
    try:
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise InputError(
                    f"{path} must belong to you and be for its owner alone: it holds a password. "
                    f"Run: chmod 600 {shlex.quote(str(path))}"
                )
            return stream.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def write_private(path: Path, text: str) -> None:
    """`path` holds exactly `text`, for its owner alone from the first byte on."""
    with atomic_file(path) as file:
        os.fchmod(file.fileno(), stat.S_IRUSR | stat.S_IWUSR)
        file.write(text.encode())
