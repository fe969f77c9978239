"""A command line that is shown can be pasted into a shell, wherever the search lies."""

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from search.commands._running import _End
from search.file.spec import load_spec
from search.machine import preflight
from search.run.search import Search

NAMES = ["My Projects (1) & Co", 'it\'s "it"', "a;b|c>d<e", "$HOME `id` *", "new\nline", "#ünï!"]


@pytest.fixture(params=NAMES)
def search(request: pytest.FixtureRequest, tmp_path: Path) -> Search:
    """A search whose file and results lie in a folder of an odd name; its search file names no odd storage."""
    folder = tmp_path / request.param
    folder.mkdir()
    (folder / "x.yaml").write_text("name: x\ndata: digits\n")
    return Search(load_spec(folder / "x.yaml"))


def words_of(line: str) -> list[str]:
    """What a shell makes of a line that begins with `python`."""
    shell = "python() { printf '%s\\0' \"$@\"; }\n"
    done = subprocess.run(["bash", "-c", shell + line], capture_output=True, check=True, timeout=60)
    return done.stdout.decode().split("\0")[:-1]


def test_how_to_go_on(search: Search, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(next(tmp_path.iterdir()))
    outcome: Any = SimpleNamespace(result=SimpleNamespace(finished=False))
    *_, said, line = _End(search, outcome, None, None).lines()
    assert said.endswith("Go on with:")
    assert words_of(line) == ["-m", "search", "run", str(Path("runs/x/search.yaml").absolute())]


@pytest.mark.parametrize("storage", ["My Results (1) & Co", "it's", "$HOME", "a#b", "~/x y"])
def test_a_verb_on_a_search_kept_elsewhere(storage: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(f'name: x\ndata: digits\nstorage: {{path: "{storage}"}}\n')
    search = Search(load_spec(tmp_path / "x.yaml"))
    assert words_of(search.command("export", "--unconfirmed")) == [
        *("-m", "search", "export", "x", "--unconfirmed", "--storage", storage)
    ]


def test_where_to_run_from() -> None:
    [problem] = preflight.problems(["no_such_package_of_ours"], Path("/home/me/My Projects (1)"))[:1]
    assert problem.endswith("Run from the checkout's root: cd '/home/me/My Projects (1)'")
