"""`from search import Search`: tables, the best schedule, the study, the page."""

import html
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest

import search
from search.errors import InputError, OperationFailed
from search.notebook import Search, run
from spaces import load_schedule
from tests.search.test_report import KEPT, old  # noqa: F401  (a fixture)

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("old")


def test_it_is_what_the_package_offers() -> None:
    assert search.Search is Search and search.run is run
    with pytest.raises(AttributeError, match="no attribute 'Serach'"):
        _ = search.Serach


def test_importing_the_package_brings_nothing() -> None:
    code = "import sys, search; print([m for m in sys.modules if m.partition('.')[0] in ('pandas', 'optuna', 'torch')])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_its_leaderboard_is_that_of_the_command_line() -> None:
    table = Search("old").leaderboard()
    expected = json.loads((KEPT / "leaderboard.json").read_text())["rows"]
    assert list(table["trial"]) == [row["number"] for row in expected]
    assert [mean for mean in table["mean"] if mean == mean] == [
        row["mean"] for row in expected if row["mean"] is not None
    ]
    first = table.iloc[0]
    assert first["rank"] == 1 and first["low"] < first["mean"] < first["high"]


def test_the_best_is_what_is_exported() -> None:
    assert Search("old").best() == load_schedule(KEPT / "export.json").schedule


def test_the_study_is_a_copy() -> None:
    ours = Search("old")
    study = ours.study
    assert len(study.trials) == len(ours.records())
    assert study.direction is optuna.study.StudyDirection.MINIMIZE
    complete = [t.value for t in study.trials if t.state == optuna.trial.TrialState.COMPLETE]
    assert study.best_value == min(complete)
    study.set_user_attr("search", "gone")
    study.add_trial(optuna.trial.create_trial(value=1.0))
    assert len(ours.study.trials) == len(study.trials) - 1
    assert Search("old").header["search"]["name"] == "old"


def test_curves_have_a_row_for_each_value() -> None:
    ours = Search("old")
    table = ours.curves()
    assert len(table) == sum(len(record.reports) for record in ours.records())
    one = table[table["trial"] == 0]
    assert list(one["step"]) == sorted(one["step"])
    assert list(one[ours.objective]) == [report.objective for report in ours.records()[0].reports]


def test_its_page_is_written_where_it_is_wanted(tmp_path: Path) -> None:
    ours = Search("old")
    assert ours.report() == ours.folder / "report.html"
    assert ours.report(tmp_path / "page.html").read_text().startswith("<!doctype html>")
    with pytest.raises(InputError, match="does not exist"):
        ours.report(tmp_path / "nowhere" / "page.html")


def test_a_notebook_shows_its_conclusion_and_leaderboard() -> None:
    ours = Search("old")
    shown = ours._repr_html_()
    assert "<b>old</b>" in shown and "<table" in shown
    assert repr(ours).startswith("Search('old', storage=")
    best = ours.best()
    assert re.fullmatch(
        rf"<pre>\|.{{16}}\| {re.escape(html.escape(best.describe()))}</pre>", best._repr_html_()
    )


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(InputError, match="no search named 'odl'"):
        Search("odl")


def test_without_a_confirmed_winner_there_is_no_best(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Search("old")
    own = [record for record in ours.records() if record.replicate_of is None]
    monkeypatch.setattr(Search, "records", lambda self: own)
    with pytest.raises(OperationFailed, match="no schedule confirmed on fresh seeds"):
        ours.best()


@pytest.mark.parametrize("given", [{}, {"name": "x"}, {"name": "x", "data": "digits", "typo": 1}])
def test_what_would_be_wrong_in_a_file_is_wrong_here(given: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="the search"):
        run(given)
