"""Files that are either complete or absent, also after a crash and with several writers."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path

_NAME_KEPT = (
    40  # letters of the file's name in that of its temporary one, which a file system limits to 255 bytes
)


@contextmanager
def atomic_file(path: Path) -> Iterator[BufferedRandom]:
    """A binary file that becomes `path` when the block ends; if the block raises, nothing is left.

    Written under a name of its own in the same folder, synced, renamed: of several writers the last
    one wins and no reader sees a part of a file. An OSError names the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:_NAME_KEPT]}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # of a full disk the system names no file
            error.filename = str(path)
        raise
    # The rename itself is durable only once the folder is synced.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_atomically(path: Path, data: bytes) -> None:
    """`path` holds exactly `data`, or what it held before."""
    with atomic_file(path) as file:
        file.write(data)
