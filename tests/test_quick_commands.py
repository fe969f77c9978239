"""Commands that only look import nothing that they do without: each in an interpreter of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import spaces.document.load
from search.cli import main
from search.file.kinds import KINDS
from tests.version_0_2_0 import copied_storage

ROOT = Path(__file__).parents[1]
# By what a command may do without them: a tensor, a cluster, a server, tests of significance, data.
HEAVY = (
    "torch",
    "ray",
    "mlflow",
    "requests",
    "aiohttp",
    "pandas",
    "sklearn",
    "scipy.stats",
    "matplotlib",
    "sympy",
    "scipy.optimize",
)
SEARCHED = ("numpy", "optuna")  # by what reads a study or a search file
DATABASES = ("sqlalchemy", "alembic")  # by what writes a study, or reads one that is in no SQLite file
LIBRARIES = (
    *(
        *HEAVY,
        *SEARCHED,
        *DATABASES,
        "scipy.special",
        "pydantic",
        "yaml",
        "rich",
        "jinja2",
        "PIL",
        "vl_convert",
    ),
    # Of ours, what takes as long as a small library: models of what an export holds, what runs a script.
    *("spaces.document.format", "search.export_format", "trainable.command.worker", "search.running.script"),
)
CODE = """
import contextlib, io, json, os, sys
from search.cli import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    code = main(sys.argv[2:])
names = [name for name in json.loads(sys.argv[1]) if name in sys.modules]
print(json.dumps([code, names, len(os.listdir("/proc/self/task"))]))
"""


def imported(*line: str, code: int = 0, cwd: Path = ROOT) -> set[str]:
    """Those of LIBRARIES that the command line has imported when it ends, and `threads` where it has begun some."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(LIBRARIES), *line],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=120,
        env={name: text for name, text in os.environ.items() if not name.endswith("_NUM_THREADS")}
        | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    ended, names, num_threads = json.loads(done.stdout)
    assert ended == code
    return {*names, *(["threads"] if num_threads > 1 else [])}


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search, with its page made once: what the page keeps is there."""
    found = copied_storage(tmp_path_factory.mktemp("quick") / "storage")
    assert imported("report", "old", "--storage", str(found)) is not None
    return found


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (["--help"], 0),
        (["run", "--help"], 0),
        (["leaderboard", "--help"], 0),
        (["leaderboard", "--no"], 2),
        (["lits"], 2),
    ],
)
def test_help_and_a_wrong_line_import_nothing_but_python(line: list[str], code: int) -> None:
    assert imported(*line, code=code) == set()


@pytest.mark.parametrize(
    ("verb", "more"),
    [
        ("leaderboard", {}),
        ("status", {}),
        ("export", {"--output": "best.json"}),
        ("report", {"--output": "page.html"}),
        ("watch", {}),
    ],
)
def test_a_look_at_a_search_imports_its_study_and_no_more(
    verb: str, more: Mapping[str, str], storage: Path, tmp_path: Path
) -> None:
    options = [part for name, value in more.items() for part in (name, str(tmp_path / value))]
    names = imported(verb, "old", "--storage", str(storage), *options)
    own = {"export": {"spaces.document.format", "search.export_format"}, "report": {"jinja2"}}.get(
        verb, set()
    )
    assert names <= {*SEARCHED, "pydantic", "yaml", *own}


@pytest.mark.parametrize("format_", ["json", "torch", "diffusers"])
def test_an_export_reads_its_document_back_once(
    format_: str, storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    load = spaces.document.load.load_schedule
    monkeypatch.setattr("search.export_format.load_schedule", lambda of: read.append(of) or load(of))
    monkeypatch.setattr(spaces.document.load, "load_schedule", lambda of: read.append(of) or load(of))
    line = ["export", "old", "--storage", str(storage), "--format", format_, "--output", str(tmp_path / "x")]
    assert main(line) == 0
    assert len(read) == 1


def test_what_there_is_to_do_next_is_a_look_too(storage: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").symlink_to(storage)
    assert imported(cwd=tmp_path) <= {*SEARCHED, "pydantic", "yaml"}


@pytest.mark.parametrize("verb", ["stop", "logs"])
def test_a_verb_that_has_nothing_to_do_imports_as_little(verb: str, storage: Path) -> None:
    options = ["--trial", "0"] if verb == "logs" else []
    names = imported(verb, "old", "--storage", str(storage), *options, code=1 if verb == "stop" else 2)
    assert names <= {*SEARCHED, "pydantic", "yaml"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_of_choices_imports_their_options_alone(kind: str) -> None:
    assert imported("list", kind) <= {"numpy", "optuna", "scipy.special", "pydantic", "yaml", "PIL"}


def test_searches_that_are_played_are_told_as_one_table_and_nothing_else() -> None:
    line = ["simulate", "searches/digits.yaml", "--algorithm", "random", "--repeats", "1", "--trials", "8"]
    done = subprocess.run(
        [sys.executable, "-m", "search", *line], capture_output=True, text=True, cwd=ROOT, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("digits: random, asha, 1 searches on ")


def test_a_dry_run_imports_what_times_a_step_alone(tmp_path: Path) -> None:
    file = tmp_path / "toy.yaml"
    file.write_text("name: toy\ndata: digits\nnetwork: {name: film_mlp, width: 8}\n")
    names = imported("run", str(file), "--dry-run", cwd=tmp_path)
    assert not names & ({*HEAVY} - {"torch", "sympy"} | {*DATABASES})
