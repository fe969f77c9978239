"""Which files of a user's folder are its code, by git's own rules; their checksum and their copy."""

import os
import subprocess
from pathlib import Path

import pytest

from search.errors import InputError
from search.machine import script_folder
from search.machine.script_folder import checksum_of, code_in, copied

FILES = (
    *("train.py", "run.sh", "lib/net.py", "lib/__pycache__/net.pyc", "data/big.npz", "data/keep.txt"),
    *(
        "out.log",
        "lib/deep/out.log",
        "notes/a b.md",
        "notes/#1.md",
        "build/x/y.o",
        "lib/build/z.py",
        "a1.bin",
    ),
    *("lib/a2.bin", "lib/deep/ax.bin", "docs/deep/er/p.pdf", "docs/p.pdf", "tmp/one", "tmp/two", ".hidden"),
)
IGNORE = r"""
# what is no code
*.log
/build
data/*
!data/keep.txt
a[0-9].bin
docs/**/p.pdf
tmp/
\#1.md
notes/**
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mine"
    for name in FILES:
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(name)
    (made / ".gitignore").write_text(IGNORE)
    (made / "lib" / ".gitignore").write_text("!out.log\nax.???\n")
    return made


def test_ignored_are_those_that_git_ignores(folder: Path) -> None:
    def git(*arguments: str) -> str:
        options = ("-c", f"core.excludesFile={os.devnull}", "-C", str(folder))
        return subprocess.run(
            ["git", *options, *arguments], check=True, capture_output=True, text=True
        ).stdout

    git("init", "-q")
    listed = git("ls-files", "--others", "--exclude-standard", "-z").split("\0")
    expected = {name for name in listed if name and "__pycache__" not in name}
    assert set(code_in(folder)) == expected
    assert {"lib/deep/out.log", "lib/build/z.py", "lib/net.py", ".hidden"} <= expected
    assert not expected & {"out.log", "build/x/y.o", "data/big.npz", "lib/a2.bin", "docs/p.pdf", "tmp/one"}


def test_what_searches_keep_inside_the_folder_is_no_code(folder: Path) -> None:
    before = code_in(folder)
    (folder / "runs" / "mine").mkdir(parents=True)
    (folder / "runs" / "mine" / "study.db").write_text("grows")
    assert code_in(folder, folder / "runs") == before
    assert "runs/mine/study.db" in code_in(folder)


@pytest.mark.parametrize("pattern", ["[z-a]", "!"])
def test_a_pattern_that_matches_nothing_is_told(folder: Path, pattern: str) -> None:
    (folder / ".gitignore").write_text(f"*.o\n{pattern}\n")
    with pytest.raises(InputError, match=r"\.gitignore has a pattern that matches nothing \(.*\)\. Mend"):
        code_in(folder)


def test_the_checksum_is_of_names_and_contents_of_the_code(folder: Path) -> None:
    before = checksum_of(code_in(folder))
    (folder / "out.log").write_text("more")
    (folder / "lib" / "__pycache__" / "net.pyc").write_text("more")
    assert checksum_of(code_in(folder)) == before
    changes = [
        lambda: (folder / "train.py").write_text("other"),
        lambda: (folder / "train.py").rename(folder / "training.py"),
        lambda: (folder / "lib" / "new.py").touch(),
    ]
    seen = {before}
    for change in changes:
        change()
        seen.add(checksum_of(code_in(folder)))
    assert len(seen) == 4


def test_a_copy_has_the_code_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    (folder / "run.sh").chmod(0o755)
    code = code_in(folder)
    copied(code, tmp_path / "copy")
    copied(code, tmp_path / "copy")  # as a second driver at the same time would
    assert checksum_of(code_in(tmp_path / "copy")) == checksum_of(code)
    assert os.access(tmp_path / "copy" / "run.sh", os.X_OK)
    assert not (tmp_path / "copy" / "out.log").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "mine"]


def message(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        code_in(folder)
    assert str(caught.value).startswith("trainer.folder: ") and "\n" not in str(caught.value)
    return str(caught.value)


def test_what_cannot_be_shipped_is_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "is no folder on this machine" in message(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "has no file that is not ignored" in message(tmp_path / "empty")
    (folder / "lib" / "elsewhere").symlink_to(tmp_path / "empty")
    assert "elsewhere is a link to a folder, which is not shipped. Name it in .gitignore" in message(folder)
    (folder / "lib" / "elsewhere").unlink()
    monkeypatch.setattr(script_folder, "MOST_FILES", 3)
    assert "more than 50 MiB or 3 files, the last is lib/" in message(folder)
    monkeypatch.setattr(script_folder, "MOST_FILES", 5000)
    monkeypatch.setattr(script_folder, "MOST_BYTES", 40)
    assert "Keep data elsewhere, or name it in" in message(folder)
