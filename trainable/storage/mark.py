"""Whether a worker has the trials' storage before it that the driver has."""

from trainable.storage.folder import StorageError
from trainable.storage.location import open_folder


def check_mark(location: str, mark: str, patience_seconds: float = 0.0) -> None:
    """StorageError where the folder is not the driver's: what is kept there would go with this machine.

    mark: name of a file that the driver has put there.
    """
    if open_folder(location, patience_seconds=patience_seconds).read(mark) is None:
        raise StorageError(
            f"{location} is not what the driver sees there (the search's file {mark} is missing). "
            "Give all machines one folder at that path, such as a network file system, or name a bucket"
        )
