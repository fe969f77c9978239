"""The commit that results name is that of the code that made them."""

import os
import subprocess
from pathlib import Path

import pytest

from search.machine.checkout import git_commit


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "commit.gpgsign=false")
    command = ["git", *who, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with a file in each package, of which all is committed."""
    root = tmp_path / "what? 100%"
    for path in ("spaces/noise/uniform.py", "trainable/trial.py", "search/cli.py", "README.md"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("as it was\n")
    (root / ".gitignore").write_text("__pycache__/\nmine_too.py\n")
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "all")
    return root


def test_a_clean_checkout_is_its_commit(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    assert git_commit(checkout) == commit
    # None of it is loaded.
    (checkout / "README.md").write_text("changed")
    (checkout / "notes.txt").write_text("new")
    (checkout / "spaces/__pycache__").mkdir()
    (checkout / "spaces/__pycache__/uniform.cpython-311.pyc").write_bytes(b"")
    (checkout / "spaces/noise/.uniform.py.swp").write_bytes(b"")
    assert git_commit(checkout) == commit


@pytest.mark.parametrize("name", ["mine.py", "mine_too.py", "uniform.py", "ü \"'\n.py"])
def test_a_file_that_is_loaded_and_not_committed_is_told(name: str, checkout: Path) -> None:
    """New, new and ignored by git, changed, of a name that git would quote."""
    (checkout / "spaces/noise" / name).write_text("as it is")
    assert git_commit(checkout) == git(checkout, "rev-parse", "HEAD") + "+changes"


def test_a_file_that_was_removed_is_told(checkout: Path) -> None:
    (checkout / "search/cli.py").unlink()
    assert str(git_commit(checkout)).endswith("+changes")


def test_the_commit_of_another_repository_is_none(checkout: Path, tmp_path: Path) -> None:
    """Unpacked inside one, outside any, and in a hook of one."""
    inside = checkout / "vendor/search-1.0"
    (inside / "spaces").mkdir(parents=True)
    assert git_commit(inside) is None
    (tmp_path / "outside").mkdir()
    assert git_commit(tmp_path / "outside") is None


def test_a_hook_of_another_repository_does_not_change_it(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = git_commit(checkout)
    (tmp_path / "other").mkdir()
    git(tmp_path / "other", "init", "--quiet")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    assert git_commit(checkout) == commit


def test_looking_writes_nothing(checkout: Path) -> None:
    index = checkout / ".git/index"
    (checkout / "search/cli.py").write_text("as it was\n")  # git would note its new time
    before = index.read_bytes()
    git_commit(checkout)
    assert index.read_bytes() == before
    assert not os.path.exists(checkout / ".git/index.lock")
