"""Which code this is."""

import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MARKER = "shipped.json"  # only in a package made for a cluster


def git_commit() -> str | None:
    """Commit of this checkout, with "+changes" if files differ from it; None outside git.

    In a job on a cluster, where .git is not shipped: that of the checkout which was submitted.
    """
    if is_shipped():
        return shipped_commit()

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        return f"{commit}+changes" if git("status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.SubprocessError):
        return None


def is_shipped(root: Path = ROOT) -> bool:
    """Whether the code at `root` came as a package: its folder goes with the job."""
    return (root / MARKER).is_file()


def shipped_commit(root: Path = ROOT) -> str | None:
    """The commit of the checkout that the package at `root` was made of."""
    commit = json.loads((root / MARKER).read_bytes())["git_commit"]
    return commit if isinstance(commit, str) else None
