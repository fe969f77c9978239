"""The script of a search whose trials it trains: its folder on this machine, its copy beside the trials."""

import io
import os
import re
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from search.errors import InputError, OperationFailed
from search.file.spec import SearchSpec
from search.machine.script_folder import checksum_of, code_in, copied, folder_of_script
from search.machine.search_folders import local_root
from trainable.command.mirror import PACKED_CODE
from trainable.command.script import Script
from trainable.storage.folder import StorageError
from trainable.storage.location import is_bucket, open_folder, under
from trainable.trainers.command import Command

_COPY = "code"  # beside the trials; in it, the checksum is the name


@dataclass(frozen=True)
class Code:
    """The files of a script's folder by their names, and their checksum."""

    folder: Path
    files: Mapping[str, Path]
    sha256: str


def code_of(spec: SearchSpec) -> Code:
    """What is in the folder that the search file names. InputError where that cannot be shipped."""
    folder = folder_of_script(_command(spec).folder)
    files = code_in(folder, without=local_root(spec.storage.path))
    return Code(folder, files, checksum_of(files))


def script_of(spec: SearchSpec, *, on_cluster: bool = False) -> tuple[Script, Code | None]:
    """What trials run, and the code to be copied for them. on_cluster: trials run on other machines.

    None for the code of a search that was begun elsewhere, whose folder is not here: it goes on with its copy.
    """
    command, copies = _command(spec), _copies(spec.trials)
    code = None
    if len(copies) == 1 and not folder_of_script(command.folder).is_dir():
        sha256 = copies[0]
    else:
        code = code_of(spec)
        sha256 = code.sha256
        check_command(spec, code, on_cluster=on_cluster)
    script = Script(
        command=command.command,
        code=under(spec.trials, _COPY, sha256),
        code_sha256=sha256,
        objective=command.objective,
        counter=command.rungs_by,
        resumes=command.resumes,
        patience_seconds=command.patience,
    )
    return script, code


def _copies(trials: str) -> list[str]:
    """Checksums of the code that is kept beside the trials."""
    if is_bucket(trials):
        with _as_failure():
            names = open_folder(under(trials, _COPY)).names(below=True)
        names = [name.removesuffix(f"/{PACKED_CODE}") for name in names]
    else:
        names = [path.name for path in Path(trials, _COPY).glob("*")]
    return [name for name in names if re.fullmatch("[0-9a-f]{64}", name)]


@contextmanager
def _as_failure() -> Iterator[None]:
    try:
        yield
    except StorageError as error:
        raise OperationFailed(str(error)) from error


def _pack(code: Code, location: str) -> None:
    """One object, since a bucket takes a while for each, and knows no rights to run a file."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, path in code.files.items():
            archive.add(path.resolve(), name, filter=_without_owner)
    with _as_failure():
        open_folder(location).write(PACKED_CODE, packed.getvalue())


def _without_owner(file: tarfile.TarInfo) -> tarfile.TarInfo:
    return file.replace(uid=0, gid=0, uname="", gname="", mtime=0)


def keep_script(code: Code | None, script: Script) -> None:
    """Have the copy, as it was when the search began. InputError where it is another now."""
    if code is None:
        return
    if is_bucket(script.code):
        _pack(code, script.code)
        return
    kept = Path(script.code)
    if not kept.is_dir():
        copied(code.files, kept)
    elif checksum_of({name: kept / name for name in code.files if (kept / name).is_file()}) != code.sha256:
        raise InputError(f"{kept} is not the script that the search began with: it was edited. Remove it")


def check_command(spec: SearchSpec, code: Code, *, on_cluster: bool = False) -> None:
    """InputError where the command begins with what is not on this machine, or names a script that is not there.

    on_cluster: trials run on other machines, which have what they begin with.
    """
    words = _command(spec).command
    first = words[0]
    # A program without a slash is looked for in PATH alone, as where trials run.
    is_shipped = "/" in first and os.path.normpath(first) in code.files
    if not on_cluster and "{" not in first and shutil.which(first) is None and not is_shipped:
        raise InputError(
            f"trainer.command: there is no program {first!r} on this machine. Name another one, or {{python}} for the "
            "Python that runs the search"
        )
    scripts = (word for word in words if word.endswith(".py") and not word.startswith("-"))
    script = next(scripts, None)  # what follows may be any files
    if script is None or "{" in script or os.path.isabs(script):
        return
    if os.path.normpath(script) not in code.files:
        raise InputError(
            f"trainer.command: {code.folder} has no {script}. Name a script that is in trainer.folder, and that no "
            ".gitignore leaves out"
        )


def _command(spec: SearchSpec) -> Command:
    assert spec.script is not None
    return spec.script
