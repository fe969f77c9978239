"""Where a search's files lie on the machine of its driver."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from search.errors import InputError
from search.machine.state_folder import home, make_home
from search.machine.writable import why_not_writable
from trainable.storage.bucket_url import BucketUrl
from trainable.storage.location import is_bucket
from trainable.storage.path import expanded

DEFAULT_STORAGE = "runs"


def local_root(storage: str) -> Path:
    """The folder of all searches kept in `storage`: that folder itself, absolute.

    For a bucket: a folder of the same name in the state folder. Search files, logs and databases of the driver stay
    there; what the trials keep is in the bucket.
    """
    if not is_bucket(storage):
        try:
            folder = expanded(storage).absolute()
            folder.exists()  # told here once for all who look into it: a path of thousands of characters
            return folder
        except OSError as error:
            raise InputError(f"storage.path: {storage[:80]} cannot be looked up: {error.strerror}") from None
        except ValueError as error:
            raise InputError(f"storage.path: {error}") from None
    try:
        url = BucketUrl.parse(storage)
    except ValueError as error:
        raise InputError(f"the storage {error}") from error
    server = dict(url.options).get("endpoint_override", "").replace(":", "-")
    return home().joinpath("storage", url.kind, *filter(None, [server, url.bucket, url.path]))


@contextmanager
def usable(folder: Path) -> Iterator[None]:
    """In this block the folder that `storage.path` names on this machine is there, and used.

    InputError where it cannot be made, or where what the block does in it fails.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        check_usable(folder, "storage.path")
        yield
    except OSError as error:
        raise _unusable(folder, "storage.path", error.strerror or str(error)) from error


def check_usable(folder: Path, field: str) -> None:
    """InputError where nothing can be kept in the folder that `field` of the search file names, made or not."""
    why = why_not_writable(folder)
    if why is not None:
        raise _unusable(folder, field, why)


def _unusable(folder: Path, field: str, why: str) -> InputError:
    return InputError(
        f"{field}: {folder} cannot be used on {socket.gethostname()}: {why}. Make it a folder of your user there, or "
        "name another one"
    )


def make_root(storage: str) -> None:
    """Make the state folder where `local_root` is in it, for its owner alone."""
    if is_bucket(storage):
        make_home()
