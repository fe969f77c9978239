"""The folder of a user's script: which of its files are its code, their checksum, their copy beside the search.

What `.gitignore` names, `.git` and `__pycache__` are no code. Trials run in the copy, which all machines see: what ran
is what the checksum says, whatever becomes of the folder meanwhile.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from search.errors import InputError, OperationFailed
from trainable.storage.path import expanded

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

MOST_BYTES = 50 * 2**20
MOST_FILES = 5000
_NO_CODE = (".git", "__pycache__")
_IGNORE = ".gitignore"


def folder_of_script(folder: str) -> Path:
    """The folder that the search file names, absolute; it need not exist."""
    try:
        return expanded(folder).absolute()
    except ValueError as error:
        raise InputError(f"trainer.folder: {error}") from None


def code_in(folder: Path, without: Path | None = None) -> dict[str, Path]:
    """The files of the code by their path in the folder, sorted. InputError where there are none, or too many.

    without: a folder whose files are no code, as where searches are kept.
    """
    if not os.path.isdir(folder):
        raise InputError(
            f"trainer.folder: {folder} is no folder on this machine. Name the folder of the script"
        )
    found: dict[str, Path] = {}
    num_bytes = 0
    try:
        for name, path in _files(folder, "", [], without):
            found[name] = path
            num_bytes += path.stat().st_size
            if num_bytes > MOST_BYTES or len(found) > MOST_FILES:
                raise InputError(
                    f"trainer.folder: {folder} has more than {MOST_BYTES // 2**20} MiB or {MOST_FILES} files, the last "
                    f"is {name}. Keep data elsewhere, or name it in {folder / _IGNORE}"
                )
    except OSError as error:
        raise InputError(f"trainer.folder: {error.filename} cannot be read: {error.strerror}") from error
    if not found:
        raise InputError(
            f"trainer.folder: {folder} has no file that is not ignored. Name the folder of the script"
        )
    return dict(sorted(found.items()))


def _files(
    folder: Path, below: str, rules: list[tuple[str, "GitIgnoreSpec"]], without: Path | None
) -> Iterator[tuple[str, Path]]:
    """rules: of each `.gitignore`, with the folder below which it holds: "" or "a/b/"; outermost first."""
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    if any(entry.name == _IGNORE for entry in entries):
        rules = [*rules, (below, _rules_in(folder / _IGNORE))]
    for entry in entries:
        name = f"{below}{entry.name}"
        if entry.name in _NO_CODE or _is_ignored(f"{name}/" if entry.is_dir() else name, rules):
            continue
        if (
            without is not None
            and entry.is_dir()
            and os.path.realpath(entry.path) == os.path.realpath(without)
        ):
            continue
        if entry.is_dir() and entry.is_symlink():
            raise InputError(
                f"trainer.folder: {entry.path} is a link to a folder, which is not shipped. Name it in {_IGNORE}"
            )
        if entry.is_dir():
            yield from _files(Path(entry.path), f"{name}/", rules, without)
        elif entry.is_file():
            yield name, Path(entry.path)


def _rules_in(file: Path) -> "GitIgnoreSpec":
    from pathspec import GitIgnoreSpec  # without a script nobody needs it

    try:
        return GitIgnoreSpec.from_lines(file.read_text(encoding="utf-8", errors="replace").splitlines())
    except (ValueError, re.error) as error:
        raise InputError(
            f"trainer.folder: {file} has a pattern that matches nothing ({error}). Mend or remove it"
        ) from error


def _is_ignored(name: str, rules: Sequence[tuple[str, "GitIgnoreSpec"]]) -> bool:
    """By the innermost file with a rule that matches, of whose rules the last counts (gitignore(5))."""
    for folder, own in reversed(rules):
        include = own.check_file(name[len(folder) :]).include
        if include is not None:
            return include
    return False


def checksum_of(files: Mapping[str, Path]) -> str:
    """SHA-256 over names and contents."""
    return checksum_of_texts({name: path.read_bytes() for name, path in files.items()})


def checksum_of_texts(files: Mapping[str, bytes]) -> str:
    """The same, of files that were read."""
    listed = [(name, hashlib.sha256(text).hexdigest()) for name, text in sorted(files.items())]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def copied(files: Mapping[str, Path], folder: Path) -> None:
    """`folder` holds exactly these files, whole or not at all. OperationFailed where they cannot be kept there."""
    made = folder.with_name(f"{folder.name}.{secrets.token_hex(4)}.partial")
    try:
        for name, path in files.items():
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, made / name)
            (made / name).chmod(0o755 if os.access(path, os.X_OK) else 0o644)
        try:
            made.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another driver was there before, with the same content
                raise
    except OSError as error:
        raise OperationFailed(f"{folder} cannot be written: {error.strerror}. Make room there") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
