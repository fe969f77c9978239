"""Files and folders that a verb writes where its user names them: checked before the work, whole or absent."""

import os
from collections.abc import Callable
from pathlib import Path

from search.errors import InputError, OperationFailed
from search.machine.writable import why_not_writable
from trainable.storage.atomic import write_atomically


def check_file(path: Path, option: str = "--output") -> None:
    """InputError for a file that cannot be written: told now, not when the work is done."""
    _check(path, option, "a file", _why_no_file)


def check_folder(path: Path) -> None:
    """InputError for a folder that cannot be made or written to. It is made, but none of those above it."""
    _check(path, "--output", "a folder", _why_no_folder)


def write_file(path: Path, data: bytes) -> None:
    """`path`, or what it links to, holds exactly `data`. OperationFailed where that cannot be."""
    target = Path(os.path.realpath(path))
    try:
        target.parent.stat()  # it is not made
        write_atomically(target, data)
    except OSError as error:
        raise OperationFailed(f"{path} cannot be written: {error.strerror or error}") from error


def _check(path: Path, option: str, what: str, why_not: Callable[[Path], str | None]) -> None:
    try:
        why = why_not(Path(os.path.realpath(path)))
    except OSError as error:
        why = f"cannot be looked at: {error.strerror}"
    if why is not None:
        raise InputError(f"`{option}` must be {what} that can be written, but {path} {why}")


def _why_no_file(path: Path) -> str | None:
    if path.is_dir():
        return "is a folder"
    if path.exists() and not path.is_file():
        return "is no file that could be replaced"
    return _why_not_in(path.parent)


def _why_no_folder(path: Path) -> str | None:
    return _why_not_in(path if path.is_dir() else path.parent)


def _why_not_in(folder: Path) -> str | None:
    if not folder.exists():
        return f"would be in {folder}, which does not exist"
    if not folder.is_dir():
        return f"would be in {folder}, which is no folder"
    why = why_not_writable(folder)
    return None if why is None else f"cannot be made: {why}"
