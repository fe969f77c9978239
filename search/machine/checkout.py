"""Which code this is: its folder, its packages, its commit. Standard library only: the start-up check needs it."""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePath

from search.errors import OperationFailed

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("spaces", "trainable", "search")
_OF_A_HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY")
MARKER = "shipped.json"  # in the code that came to a cluster as a package, with the commit it is of


def git_commit(root: Path = ROOT) -> str | None:
    """Commit of the checkout at `root`, with "+changes" if its packages hold what the commit does not.

    Files that were added count, those that git is told to ignore too: a dropped-in choice is loaded whatever git
    thinks of it. None outside git, and where the checkout lies inside another repository. In a job on a cluster, where
    .git is not shipped: that of the checkout which was submitted.
    """
    if is_shipped(root):
        return shipped_commit(root)
    try:
        if Path(_git(root, "rev-parse", "--show-toplevel").removesuffix("\n")).resolve() != root.resolve():
            return None
        commit = _git(root, "rev-parse", "HEAD").strip()
        return f"{commit}+changes" if any(map(is_code, _changed(root))) else commit
    except (OSError, subprocess.SubprocessError):
        return None


def is_code(path: PurePath) -> bool:
    """Whether a file of a package, by its path from the root, is part of the code: neither hidden nor compiled."""
    return not any(part.startswith(".") or part == "__pycache__" for part in path.parts)


def _changed(root: Path) -> Iterator[PurePath]:
    """Files of the packages that differ from the commit, were added or removed."""
    options = ("--porcelain", "-z", "--no-renames", "--untracked-files=all", "--ignored=matching")
    for entry in _git(root, "status", *options, "--", *PACKAGES).split("\0"):
        if entry:
            yield PurePath(entry[3:])  # behind two letters and a space


def is_shipped(root: Path = ROOT) -> bool:
    """Whether the code at `root` came as a package: its folder goes with the job."""
    return (root / MARKER).is_file()


def marker_of(commit: str | None) -> bytes:
    """What stands in `MARKER`."""
    return json.dumps({"git_commit": commit, "sha256": _sum_of(commit)}).encode()


def shipped_commit(root: Path = ROOT) -> str | None:
    """The commit of the checkout that the package at `root` was made of. OperationFailed where it is lost."""
    try:
        marker = json.loads((root / MARKER).read_bytes())
        commit: str | None = marker["git_commit"]
        if marker["sha256"] != _sum_of(commit):
            raise ValueError("its checksum differs")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise OperationFailed(
            f"{root / MARKER} was cut or edited ({type(error).__name__}: {error}): of which commit this code is, is "
            "lost. Submit the search again: its code is shipped anew"
        ) from error
    return commit


def _sum_of(commit: str | None) -> str:
    return hashlib.sha256((commit or "").encode()).hexdigest()


def _git(root: Path, *arguments: str) -> str:
    """What git says of `root`, also in a hook of another repository. Nothing is written, not even the index."""
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    environment = {name: value for name, value in os.environ.items() if name not in _OF_A_HOOK}
    done = subprocess.run(command, env=environment, capture_output=True, check=True, timeout=10)
    return os.fsdecode(done.stdout)
