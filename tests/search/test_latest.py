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


def test_the_status_is_that_of_all_and_then_of_the_latest(
    storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--storage", str(storage)]) == 0
    alone = capsys.readouterr()
    assert alone.err == "note: the latest search is old\n"
    assert alone.out.startswith("old: ")
    copied_storage(storage.parent / "other")
    (storage / "newer").mkdir()
    kept = (storage / "old" / "search.yaml").read_text().replace("name: old\n", "name: newer\n")
    (storage / "newer" / "search.yaml").write_text(kept)
    os.utime(storage / "newer" / "search.yaml", (2**32, 2**32))
    assert main(["status", "--storage", str(storage)]) == 0
    both = capsys.readouterr()
    assert both.err == "note: the latest search is newer\n"
    first, second = both.out.split("\n\n")
    assert [line.split()[0] for line in first.splitlines()] == ["search", "newer", "old"]
    assert second.startswith("newer: ")


def test_the_page_is_that_of_the_latest(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = storage / "page.html"
    assert main(["report", "--storage", str(storage), "--output", str(output)]) == 0
    printed = capsys.readouterr()
    assert printed.err == "note: the latest search is old\n"
    assert printed.out == f"The page of old: {output}\n"


@pytest.mark.parametrize("verb", ["leaderboard", "export"])
def test_without_any_search_the_line_says_how_to_run_one(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "--storage", str(tmp_path)]) != 0
    assert "there is no search in" in capsys.readouterr().err
