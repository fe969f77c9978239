"""`ui` on several searches, without a server: that is tests/integration/test_ui.py."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from search import cli
from search.running.search import Search
from tests.search.test_search import ASSETS


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two searches, of which the newest cannot be read; MLflow is a server that runs."""
    for age, name in enumerate(("damaged", "whole")):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "search.yaml"
        path.write_text(
            f"name: {name}\ndata: digits\nstorage: {{path: {tmp_path}, mlflow_uri: 'http://mlflow:5000/'}}\n"
        )
        os.utime(path, (10 - age, 10 - age))
    Search.open(str(tmp_path / "whole" / "search.yaml")).open_or_create(ASSETS)
    (tmp_path / "damaged" / "study.db").write_text("no database" * 100)
    saved = SimpleNamespace(save_view=lambda: "/#/view")
    monkeypatch.setattr("search.running.tracked.projection_of", lambda search: saved)
    return tmp_path


def test_a_search_that_cannot_be_read_hides_no_other(
    storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["ui", "--storage", str(storage)]) == 0
    shown = capsys.readouterr()
    assert shown.out == "whole: http://mlflow:5000/#/view\n"
    assert shown.err.startswith("warning: damaged is left out: the study's database sqlite:///")
    assert shown.err.count("\n") == 1


def test_the_one_that_is_asked_for_is_an_error(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ui", "damaged", "--storage", str(storage)]) == 1
    assert capsys.readouterr().err.startswith("error: the study's database sqlite:///")
