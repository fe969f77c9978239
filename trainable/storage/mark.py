"""Whether a worker has the trials' storage before it that the driver has."""

from trainable.storage.folder import Folder, StorageError


def check_mark(folder: Folder, mark: str) -> None:
    """StorageError where the folder is not the driver's: what is kept there would go with this machine.

    mark: name of a file that the driver has put there.
    """
    if folder.read(mark) is None:
        folder.check_there()
        raise StorageError(
            f"{folder.location} is not what the driver sees there (the search's file {mark} is missing). "
            "Give all machines one folder at that path, such as a network file system, or name a bucket"
        )
