"""JSON files that are nearly right: an export, a table of curves, what `serve` writes."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from search.machine.service import FORMAT
from search.simulator.table import FOLDER
from spaces import load_schedule
from tests.fuzz.answers import check, hold, shares
from tests.fuzz.damage import damaged_bytes, damaged_data, json_bytes

EXPORT = Path(__file__).parents[1] / "data" / "version_0.2.0" / "export.json"
SERVICE = {
    "format": FORMAT,
    "storage": "kept",
    "study_url": "sqlite:///study.db",
    "mlflow_uri": "http://127.0.0.1:9",
    "mlflow_username": "me",
    "mlflow_password": "secret",
}


def damaged(whole: Any) -> st.SearchStrategy[bytes]:
    """The document with other values, or another text."""
    content = json.dumps(whole).encode()
    return damaged_data(whole).map(json_bytes) | damaged_bytes(content)


def curves() -> Any:
    """The shipped table with two schedules."""
    table = json.loads((FOLDER / "digits.json").read_bytes())
    return table | {"schedules": table["schedules"][:2]}


def problem_of(path: Path) -> str | None:
    """What the reader of exports says against the file."""
    try:
        load_schedule(path)
    except ValueError as error:
        return str(error)
    return None


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir(mode=0o700)
    monkeypatch.setenv("SCHEDULE_SEARCH_HOME", str(tmp_path / "home"))
    return tmp_path


@shares(quick=50, long=250)
def test_a_damaged_export_is_refused_in_words(share: settings, here: Path) -> None:
    def read(content: bytes) -> None:
        Path("x.json").write_bytes(content)
        answer = check(["export", "x.json", "--format", "edm", "--unconfirmed", "--output", "made"])
        assert problem_of(Path("x.json")) is None or answer.code == 2, answer

    whole = json.loads(EXPORT.read_bytes())
    bare = damaged(whole["schedule"])
    hold(read, damaged(whole) | bare, share)


@shares(quick=30, long=150)
def test_a_damaged_table_of_curves_is_refused_in_words(share: settings, here: Path) -> None:
    Path("x.yaml").write_bytes((Path(__file__).parents[2] / "searches" / "digits.yaml").read_bytes())

    def read(content: bytes) -> None:
        Path("x.json").write_bytes(content)
        check(
            [
                "simulate",
                "x.yaml",
                "--curves",
                "x.json",
                "--repeats",
                "1",
                "--trials",
                "4",
                "--algorithm",
                "random",
            ]
        )

    hold(read, damaged(curves()), share)


@shares(quick=30, long=150)
def test_a_damaged_state_file_is_refused_in_words(share: settings, here: Path) -> None:
    Path("x.yaml").write_text("name: x\ndata: digits\nstorage: {study_url: service}\n")

    def read(content: bytes) -> None:
        kept = here / "home" / "service.json"
        kept.write_bytes(content)
        kept.chmod(0o600)
        check(["leaderboard", "x.yaml", "--json"])
        check(["status"])

    hold(read, damaged(SERVICE), share)
