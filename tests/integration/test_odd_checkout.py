"""A search from a checkout of an odd name that may not be written to, with its results elsewhere."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.integration.running import ROOT, toy

pytestmark = pytest.mark.integration

# Each of these means something in a URL, to a shell or to a library.
ODD = "My Projects%2Fb (1) what?#;&'\"[ünï] $HOME :x."


SHORT = """
space: {noise: {lognormal: }, curriculum: {constant: }}
noise_floor: {seeds: 0}
confirm: {top: 0}
"""


def files_in(folder: Path) -> list[str]:
    """What there is, but for what Python compiles."""
    found = (path.relative_to(folder) for path in folder.rglob("*"))
    return sorted(str(path) for path in found if "__pycache__" not in path.parts)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of this one, read-only as far as this user is bound by that."""
    root = tmp_path / ODD
    for package in ("spaces", "trainable", "search"):
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    for path in [root, *root.rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o222)
    return root


@pytest.mark.timeout(600)
def test_it_ends_and_writes_where_it_should_and_nowhere_else(checkout: Path, tmp_path: Path) -> None:
    home, results = tmp_path / "home", tmp_path / f"results {ODD}"
    home.mkdir()
    results.mkdir()
    (results / "toy.yaml").write_text(toy(100, 2, SHORT))
    before = files_in(checkout)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("SCHEDULE_SEARCH_")
    }
    environment |= {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(tmp_path / "xdg"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    def search(*arguments: object) -> str:
        return finished(checkout, environment, *arguments)

    file, storage, output = results / "toy.yaml", results / "runs", results / "best.json"
    assert "toy: fd_digits_cnn, lower is better" in search("run", file, "--storage", storage)
    exported = search("export", "toy", "--unconfirmed", "--storage", storage, "--output", output)
    assert exported.endswith(f"Written: {output}\n")
    assert files_in(checkout) == before
    assert files_in(home) == []
    assert {path.name.split("-")[0] for path in (tmp_path / "xdg/schedule-search").iterdir()} == {
        "extractors",
        "references",
        "vega",
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([ODD, "home", results.name, "xdg"])
    assert {path.name for path in results.iterdir()} == {"toy.yaml", "runs", "best.json"}


def finished(checkout: Path, environment: Mapping[str, str], *arguments: object) -> str:
    """What the verb prints on stdout, when it has ended well and without a complaint."""
    done = subprocess.run(
        [sys.executable, "-m", "search", *map(str, arguments)],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout
