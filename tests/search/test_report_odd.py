"""The pages of searches that came to little, read from their studies: each says so, and shows what there is."""

import html
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from search import cli
from search.policy.conductor import Conductor
from search.record import Report, TrialRecord
from search.running.search import Search
from tests.search import test_damaged_study
from tests.search.test_report_page import HOSTILE, Read
from tests.search.test_search import ASSETS, TEXT
from trainable.task import WORST_OBJECTIVE

made, toy = test_damaged_study.made, test_damaged_study.toy  # fixtures

Ended = tuple[list[Report], str, str | None]  # reports, outcome, reason


def fails(record: TrialRecord) -> Ended:
    return [], "failed", HOSTILE


def is_not_a_number(record: TrialRecord) -> Ended:
    return [Report(10, WORST_OBJECTIVE, 0, {"loss": math.nan})], "diverged", None


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Search:
    """A search of three trials that was begun in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("toy.yaml").write_text(TEXT)
    search = Search.open("toy.yaml")
    search.folder.mkdir(parents=True)
    search.open_or_create(ASSETS)
    search.write_file()
    return search


def gone_through(search: Search, end: Callable[[TrialRecord], Ended]) -> None:
    """All of it, with trials that end so at their first rung."""
    conductor = Conductor(search.plan(), search.store)
    while (record := conductor.next()) is not None:
        reports, outcome, reason = end(record)
        step = reports[-1].step if reports else 0
        assert conductor.observe(record.number, step, reports, outcome, reason)
    search.store.close()


def page_of(search: Search, capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main(["report", search.name]) == 0
    assert capsys.readouterr().err == ""
    return (search.folder / "report.html").read_text()


def test_of_no_trial(here: Search, capsys: pytest.CaptureFixture[str]) -> None:
    here.store.close()
    text = page_of(here, capsys)
    assert "The search is not finished and nobody runs it: no trial yet." in text
    assert "No trial has a value yet." in text


def test_of_failures_alone(here: Search, capsys: pytest.CaptureFixture[str]) -> None:
    gone_through(here, fails)
    text = page_of(here, capsys)
    read = Read(text)
    assert "The search is finished: " in text and " failed." in text
    assert "every trial of search" in text
    assert html.escape(HOSTILE).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in text
    assert "<script>alert" not in text and len(read.of("script")) == 4
    assert not read.of("img")


def test_of_values_that_are_no_numbers(here: Search, capsys: pytest.CaptureFixture[str]) -> None:
    gone_through(here, is_not_a_number)
    text = page_of(here, capsys)
    assert " diverged." in text
    assert "no trial of search" in text
    assert "NaN" not in str(Read(text).data("pictures"))


def test_of_one_that_was_stopped_in_the_middle(toy: Search, capsys: pytest.CaptureFixture[str]) -> None:
    text = page_of(toy, capsys)
    assert "The search is not finished and nobody runs it: 1 not ended, " in text
    assert {picture["id"] for picture in Read(text).data("pictures")} >= {
        "s0-curves-picture",
        "s0-best",
        "s0-cost-picture",
    }
