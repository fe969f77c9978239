"""Which code this is: its folder, its packages, its commit. Standard library only: the start-up check needs it."""

import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("spaces", "trainable", "search")
MARKER = "shipped.json"  # in the code that came to a cluster as a package, with the commit it is of


def git_commit() -> str | None:
    """Commit of this checkout, with "+changes" if files differ from it; None outside git.

    In a job on a cluster, where .git is not shipped: that of the checkout which was submitted.
    """
    if is_shipped():
        return shipped_commit()
    try:
        commit = _git("rev-parse", "HEAD")
        return f"{commit}+changes" if _git("status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.SubprocessError):
        return None


def is_shipped(root: Path = ROOT) -> bool:
    """Whether the code at `root` came as a package: its folder goes with the job."""
    return (root / MARKER).is_file()


def shipped_commit(root: Path = ROOT) -> str | None:
    """The commit of the checkout that the package at `root` was made of."""
    commit = json.loads((root / MARKER).read_bytes())["git_commit"]
    return commit if isinstance(commit, str) else None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
