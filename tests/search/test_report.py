"""`python -m search report`: which search, where to, what is said of one that is damaged, old or not begun."""

import contextlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
import torch
from rich.console import Console

from search import cli
from search.policy.conductor import Conductor
from search.running import page as run_page
from search.running.audience import Audience
from search.running.live_page import LivePage, start_quietly
from search.running.search import Search
from search.screen.view import ProgressView
from search.study.legible import legible_trials
from tests.clock import Clock
from tests.search import test_damaged_study
from tests.search.test_damaged_study import RUNNING, changed, study_of
from tests.version_0_2_0 import KEPT, copied_storage

made, toy = test_damaged_study.made, test_damaged_study.toy  # fixtures


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The storage folder of version 0.2.0 with its search `old`, in the current folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(KEPT / "storage", tmp_path / "runs")
    return tmp_path / "runs"


def reported(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    """(page, what was printed)."""
    assert cli.main(["report", *arguments]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    return Path(said.out.strip().rpartition(": ")[2]).read_text(), said.out


def test_a_search_of_an_earlier_version_has_a_page(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, said = reported(capsys, "old")
    assert said == f"The page of old: {old / 'old' / 'report.html'}\n"
    search = Search.open("old")
    assert search.result().conclusion in page
    assert "no picture is kept" in page  # its models are not there


def test_without_a_name_it_is_the_search_that_was_written_to_last(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (old / "newer").mkdir()
    text = (old / "old" / "search.yaml").read_text().replace("name: old", "name: newer")
    (old / "newer" / "search.yaml").write_text(text)
    os.utime(old / "newer" / "search.yaml", (1, 1))
    assert cli.main(["report"]) == 0
    said = capsys.readouterr()
    assert said.err == "note: the latest search is old\n"
    assert said.out.startswith("The page of old: ")


def test_without_any_search_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["report"]) == 2
    assert capsys.readouterr().err == (
        "error: there is no search in runs/ yet. Run one: python -m search run searches/digits.yaml\n"
    )


def test_a_search_that_was_not_started_has_no_page(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = Path("new.yaml")
    file.write_text((old / "old" / "search.yaml").read_text().replace("name: old", "name: new"))
    assert cli.main(["report", "new.yaml"]) == 2
    assert "has not been started" in capsys.readouterr().err
    assert not (old / "new").exists()


def test_the_page_goes_where_it_is_wanted(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, said = reported(capsys, "old", "--output", "here.html")
    assert said == f"The page of old: {Path('here.html').absolute()}\n"
    assert not (old / "old" / "report.html").exists()
    assert cli.main(["report", "old", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"searches": ["old"], "page": str(old / "old" / "report.html")}
    assert cli.main(["report", "old", "--output", "-"]) == 0
    assert capsys.readouterr().out.startswith("<!doctype html>")


def test_an_output_that_cannot_be_written_is_one_line(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", "old", "--output", "nowhere/page.html"]) == 2
    assert f"would be in {Path('nowhere').absolute()}, which does not exist" in capsys.readouterr().err
    assert cli.main(["report", "old", "--output", "-", "--json"]) == 2
    assert "--output - has no effect with --json" in capsys.readouterr().out


def test_two_searches_stand_on_one_page(
    old: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shutil.copytree(KEPT / "storage", tmp_path / "again")
    page, said = reported(capsys, "old", str(tmp_path / "again" / "old" / "search.yaml"))
    assert page.count("<article") == 2
    assert said == f"The page of old and old: {Path('report.html').absolute()}\n"


# Damaged


def test_what_is_left_of_a_damaged_study_is_shown(
    toy: Search,
    capsys: pytest.CaptureFixture[str],
) -> None:
    changed(toy, "UPDATE trial_user_attributes SET value_json = '{' WHERE trial_id = 4")
    assert cli.main(["report", "toy"]) == 1
    said = capsys.readouterr()
    (problem,) = said.err.splitlines()
    assert problem.startswith("error: ")
    page = (toy.folder / "report.html").read_text()
    assert f"The study cannot be relied on; {RUNNING} trials are shown" in page
    assert 'role="alert"' in page


def test_a_study_that_is_no_database_has_a_page_of_its_file(
    toy: Search,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for path in toy.folder.glob("study.db-*"):
        path.unlink()
    study_of(toy).write_bytes(b"no database at all" * 100)
    assert cli.main(["report", "toy"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    page = (toy.folder / "report.html").read_text()
    assert "The study cannot be relied on; 0 trials are shown" in page
    assert "digits" in page


def test_trials_whose_originals_are_lost_are_left_out(toy: Search) -> None:
    url = toy.spec.study_url_resolved
    whole = legible_trials(url, "toy")
    assert len(whole) == RUNNING + 1
    repeated = next((r.replicate_of for r in whole if r.replicate_of is not None), None)
    with closing(sqlite3.connect(study_of(toy))) as connection:
        connection.execute("delete from trials where number = 0")
        connection.commit()
    left = legible_trials(url, "toy")
    assert 0 not in {r.number for r in left}
    assert all(r.replicate_of != 0 for r in left)
    assert repeated in (None, 0)
    assert legible_trials(url, "another") == []


def test_a_page_that_cannot_be_drawn_leaves_the_old_one(
    old: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (old / "old" / "report.html").write_text("before")

    def broken(searches: object) -> str:
        raise ValueError("broken")

    monkeypatch.setattr(run_page, "page", lambda *_: broken(None))
    with contextlib.suppress(SystemExit):
        assert cli.main(["report", "old"]) != 0
    assert (old / "old" / "report.html").read_text() == "before"


def test_a_package_that_is_not_installed_is_one_line(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    monkeypatch.setattr("search.report.vega_bundle.cache_folder", lambda: tmp_path)  # which keeps no bundle
    assert cli.main(["report", "old"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: a page needs the package vl-convert-python, which cannot be imported")


def test_a_page_that_cannot_be_made_is_a_note_and_no_end_of_the_search(
    toy: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise MemoryError("no room\nfor a page")

    monkeypatch.setattr("search.running.audience.write_page", broken)
    console = Console(file=io.StringIO())
    with ProgressView("toy", "fd", 100, console=console) as view:
        audience = Audience(toy, Conductor(toy.plan(), toy.store), view)
        try:
            audience.write_page(toy.result(), torch.zeros(2, 1, 8, 8))
        finally:
            audience.close(None)
    (note,) = [line for line in console.file.getvalue().splitlines() if "page was not made" in line]  # type: ignore[attr-defined]
    assert "MemoryError: no room for a page" in note


# While a search runs


class Process:
    """A process that ends when it is told."""

    pid = 1

    def __init__(self) -> None:
        self.code: int | None = None

    def poll(self) -> int | None:
        return self.code


@pytest.fixture
def live(tmp_path: Path) -> tuple[LivePage, Clock, list[tuple[Sequence[str], Process]]]:
    clock = Clock(0.0)
    started: list[tuple[Sequence[str], Process]] = []

    def start(command: Sequence[str], log_file: Path) -> Process:
        started.append((command, Process()))
        return started[-1][1]

    file = tmp_path / "search.yaml"
    page = LivePage(file, tmp_path / "search.log", clock=clock, start=start)  # type: ignore[arg-type]
    return page, clock, started


def test_the_page_is_made_at_most_once_a_minute(live: tuple[LivePage, Clock, list]) -> None:
    page, clock, started = live
    for second in range(0, 200, 5):
        clock.now = float(second)
        page.changed(4)
        for _, process in started:
            process.code = 0
    assert len(started) == 3
    command = started[0][0]
    assert command[1:4] == ["-m", "search", "report"] and command[4].endswith("search.yaml")


def test_a_page_that_takes_long_is_not_made_twice_at_once(live: tuple[LivePage, Clock, list]) -> None:
    page, clock, started = live
    for second in range(0, 1000, 10):
        clock.now = float(second)
        page.changed(4)
    assert len(started) == 1


def test_the_page_of_a_large_search_is_made_less_often(live: tuple[LivePage, Clock, list]) -> None:
    page, clock, started = live
    for second in range(0, 1200, 10):
        clock.now = float(second)
        page.changed(10_000)
        for _, process in started:
            process.code = 0
    assert len(started) == 3  # after 60 s, then every 560 s


def test_a_process_that_cannot_be_started_is_no_trouble(tmp_path: Path) -> None:
    clock = Clock(0.0)

    def start(command: Sequence[str], log_file: Path) -> Process:
        raise OSError("too many processes")

    page = LivePage(tmp_path / "search.yaml", tmp_path / "log", clock=clock, start=start)  # type: ignore[arg-type]
    clock.now = 100.0
    page.changed(4)
    page.close()


def test_closing_ends_the_process_and_what_it_was_writing(tmp_path: Path) -> None:
    clock, processes = Clock(0.0), []

    def start(command: Sequence[str], log_file: Path) -> subprocess.Popen[bytes]:
        processes.append(start_quietly(["sleep", "1000"], log_file))
        return processes[0]

    page = LivePage(tmp_path / "search.yaml", tmp_path / "log", clock=clock, start=start)
    clock.now = 100.0
    page.changed(4)
    (process,) = processes
    part = tmp_path / f".report.html.{process.pid}.abcd.tmp"
    part.write_text("half")
    page.close()
    assert process.returncode is not None
    assert not part.exists()
    page.close()


def test_what_the_page_keeps_of_an_export_is_kept_until_its_levels_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Search.open("old", str(copied_storage(tmp_path / "storage")))
    winner = old.board().winner
    assert winner is not None
    keys = {old.export_key(winner), old.export_key(winner)}
    assert len(keys) == 1
    monkeypatch.setattr("search.running.search.read_sampling", lambda *_: {"best": {"2": {}}})
    keys.add(old.export_key(winner))
    assert len(keys) == 2
