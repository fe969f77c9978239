"""Verbs that look at a search take the latest one where none is named, and say which."""

import json
import os
import shutil
from pathlib import Path

import pytest

from search.cli import main
from tests.version_0_2_0 import copied_storage


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return copied_storage(tmp_path / "storage")


@pytest.mark.parametrize("verb", ["leaderboard", "export"])
def test_the_search_that_was_written_to_last_is_taken(
    verb: str, storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older = storage / "older"
    older.mkdir()
    for path in (storage / "old").iterdir():
        if path.is_file():
            shutil.copy(path, older)
            os.utime(older / path.name, (0, 0))
    line = [verb, "--storage", str(storage), "--json"]
    if verb == "export":
        line += ["--output", str(storage / "best.json")]
    assert main(line) == 0
    printed = capsys.readouterr()
    assert printed.err.splitlines()[0] == "note: the latest search is old"
    assert json.loads(printed.out)


@pytest.mark.parametrize("verb", ["leaderboard", "export"])
def test_without_any_search_the_line_says_how_to_run_one(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "--storage", str(tmp_path)]) != 0
    assert "there is no search in" in capsys.readouterr().err
