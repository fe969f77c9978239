"""Without a verb: what there is to do next, given what lies here."""

import shlex
from pathlib import Path

import pytest

from search import cli
from search.machine.driver import only_driver
from tests.version_0_2_0 import copied_storage


def shown(capsys: pytest.CaptureFixture[str]) -> tuple[str, list[list[str]]]:
    """The first line, and the words of each command line, which all verbs know."""
    assert cli.main([]) == 0
    first, *lines, last = capsys.readouterr().out.splitlines()
    assert last == "All verbs: python -m search --help"
    commands = [shlex.split(line)[3:5] for line in lines]
    assert {verb for verb, _ in commands if verb != "doctor"} <= cli.commands().keys()
    return first, commands


def test_without_a_search_one_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    first, commands = shown(capsys)
    assert first == "There is no search in runs/ yet."
    assert commands[0] == ["run", "FILE"]
    (tmp_path / "searches").mkdir()
    for name in ("b", "a"):
        (tmp_path / "searches" / f"{name}.yaml").touch()
    assert shown(capsys)[1][:2] == [["run", "searches/a.yaml"], ["run", "searches/b.yaml"]]


def test_the_latest_search_goes_on_from_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copied_storage(tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    first, commands = shown(capsys)
    assert first.startswith("The latest search, old, is ")
    assert all(name == "old" for _, name in commands)
    with only_driver(tmp_path / "runs" / "old", "stop"):
        first, commands = shown(capsys)
    assert first.startswith("The latest search, old, is running: ")
    assert [verb for verb, _ in commands] == ["watch", "leaderboard", "stop"]


def test_of_one_that_cannot_be_read_the_cause_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (copied_storage(tmp_path / "runs") / "old" / "search.yaml").write_text("name: [\n")
    monkeypatch.chdir(tmp_path)
    first, commands = shown(capsys)
    assert first.startswith("The latest search, old, cannot be read: ")
    assert commands == [["report", "old"]]
