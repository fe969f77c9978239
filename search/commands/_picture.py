"""A picture that a verb writes."""

from pathlib import Path

from search.errors import OperationFailed


def write_picture(path: Path, png: bytes) -> None:
    """Raises OperationFailed where it cannot be written."""
    try:
        path.write_bytes(png)
    except OSError as error:
        raise OperationFailed(f"{path} cannot be written: {error.strerror or error}") from error
