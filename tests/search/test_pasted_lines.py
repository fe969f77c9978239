"""A command line that is shown can be pasted into a shell, wherever the search lies."""

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from search import cli
from search.commands import _running
from search.errors import OperationFailed
from search.file.spec import load_spec
from search.machine import preflight
from search.machine.interruption import Interruption
from search.running.outcome import Outcome
from search.running.search import Search

NAMES = ["My Projects (1) & Co", 'it\'s "it"', "a;b|c>d<e", "$HOME `id` *", "new\nline", "#ünï!"]


def words_of(line: str) -> list[str]:
    """What a shell makes of a line that begins with `python`."""
    shell = "python() { printf '%s\\0' \"$@\"; }\n"
    done = subprocess.run(["bash", "-c", shell + line], capture_output=True, check=True, timeout=60)
    return done.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize("name", NAMES)
def test_how_to_go_on(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The search lies in a folder of an odd name, and somebody stops it."""
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(folder)
    Path("x.yaml").write_text("name: x\ndata: digits\n")
    stopped: Any = SimpleNamespace(finished=False, no_winner=None)
    monkeypatch.setattr("search.running.runner.run_search", lambda *_, **__: Outcome(stopped))
    monkeypatch.setattr(Interruption, "install", lambda self: None)
    monkeypatch.setattr(_running, "log_to", lambda path: None)
    assert cli.main(["run", "x.yaml"]) == 130
    _, said, line = capsys.readouterr().out.rpartition("Go on with:\n")
    assert said
    assert words_of(line) == ["-m", "search", "run", str(folder / "runs/x/search.yaml")]


@pytest.mark.parametrize("storage", ["My Results (1) & Co", "it's", "$HOME", "a#b", "~/x y"])
def test_a_verb_on_a_search_kept_elsewhere(storage: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(f'name: x\ndata: digits\nstorage: {{path: "{storage}"}}\n')
    search = Search(load_spec(tmp_path / "x.yaml"))
    assert words_of(search.command("export", "--unconfirmed")) == [
        *("-m", "search", "export", "x", "--unconfirmed", "--storage", storage)
    ]


def test_a_search_that_is_kept_elsewhere_and_is_refused_says_where(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(f"name: x\ndata: digits\nstorage: {{path: '{tmp_path}/my runs'}}\n")
    search = Search(load_spec(tmp_path / "x.yaml"))
    search.folder.mkdir(parents=True)
    with search.held_here(), pytest.raises(OperationFailed) as driven, search.held_here():
        pass
    for told, verb in (
        (str(driven.value).partition("or run: ")[2], "stop"),
        (search.command("status"), "status"),
    ):
        assert words_of(told) == ["-m", "search", verb, "x", "--storage", f"{tmp_path}/my runs"]


def test_where_to_run_from() -> None:
    [problem] = preflight.problems(["no_such_package_of_ours"], Path("/home/me/My Projects (1)"))[:1]
    assert problem.endswith("Run from the checkout's root: cd '/home/me/My Projects (1)'")
