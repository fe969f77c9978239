"""Which code this is."""

import subprocess

from search.service.package import ROOT, is_shipped, shipped_commit


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
