"""The page of a comparison of presets is that of a search: whole, asking for nothing, its conclusion first."""

import random
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import vl_convert

from search import cli
from search.commands._running import RunOptions
from search.policy.conductor import Conductor
from search.record import Report, TrialRecord
from search.running.search import Search
from tests.search.test_report_page import MOST_BYTES, TITLES, Read
from tests.search.test_search import ASSETS

FILE = "name: NAME\ndata: digits\nnetwork: {name: film_mlp, width: 8}\nbudget: {max_trials: 9}\n"
PRESETS = ("ict", "vp", "cosine")


def reports_of(record: TrialRecord, steps: Sequence[int]) -> list[Report]:
    """A value that falls, from one preset to the other by more than from seed to seed."""
    level = random.Random(record.schedule.describe()).uniform(20, 60)
    noise = random.Random(record.seed).lognormvariate(0, 0.03)
    return [Report(step, level * noise * (2 - step / steps[-1]), 1000 * step) for step in steps]


def carry_out(search: Search, options: RunOptions) -> int:
    """In place of what trains: trials with values that nobody trained, decided on as always."""
    search.folder.mkdir(parents=True)
    search.open_or_create(ASSETS)
    search.write_file()
    conductor = Conductor(search.plan(), search.store)
    rungs = conductor.plan.rungs
    while (record := conductor.next()) is not None:
        reports = reports_of(record, rungs)
        for count, step in enumerate(rungs, start=1):
            outcome = "complete" if count == len(rungs) else None
            if conductor.observe(record.number, step, reports[:count], outcome):
                break
    search.store.close()
    return 0


@pytest.fixture
def compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of two comparisons that were made in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("search.commands.compare.carry_out", carry_out)
    for name in ("one", "two"):
        Path(f"{name}.yaml").write_text(FILE.replace("NAME", name))
        assert cli.main(["compare", f"{name}.yaml", "--presets", ",".join(PRESETS), "--seeds", "3"]) == 0
    return ["one-compare", "two-compare"]


def test_it_opens_with_the_conclusion_and_has_every_section(compared: list[str]) -> None:
    assert cli.main(["report", compared[0]]) == 0
    text = Path("runs", compared[0], "report.html").read_text()
    read, search = Read(text), Search.open(compared[0])
    assert read.texts["h2"] == TITLES
    conclusion = search.result().conclusion
    assert read.texts["p"][0] == conclusion
    assert any(preset in conclusion for preset in PRESETS)
    asks = [
        attributes.get(name) or "#"
        for _, attributes in read.elements
        for name in ("src", "href", "srcset", "action", "data", "poster")
    ]
    assert all(address.startswith(("#", "data:")) for address in asks)
    assert not re.search(r"@import|url\(", "".join(read.texts["style"]))
    assert len(text.encode()) < MOST_BYTES


def test_each_picture_has_its_text_and_shows_every_preset(
    compared: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["report", compared[0], "--output", "page.html"]) == 0
    read = Read(Path("page.html").read_text())
    pictures = {picture["id"]: picture["spec"] for picture in read.data("pictures")}
    for one in ("s0-intervals", "s0-densities", "s0-levels", "s0-curves-picture", "s0-seeds"):
        assert one in pictures
    for spec in pictures.values():
        assert spec["description"] in read.texts["figcaption"]
        assert "NaN" not in vl_convert.vegalite_to_svg({**spec, "width": 600})
    assert capfd.readouterr().err == ""
    shown = {row["schedule"] for row in pictures["s0-intervals"]["layer"][0]["data"]["values"]}
    assert len(shown) == len(PRESETS) and all(any(p in row for row in shown) for p in PRESETS)
    assert len(pictures["s0-seeds"]["data"]["values"]) == 3 * len(PRESETS)


def test_two_stand_on_one_page(compared: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", *compared]) == 0
    assert "The page of one-compare and two-compare: " in capsys.readouterr().out
    read = Read(Path("report.html").read_text())
    assert read.texts["h1"] == compared
    assert read.texts["h2"] == TITLES * 2
    assert set(read.data("trials")) == {"s0", "s1"}
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    conclusions = [Search.open(name).result().conclusion for name in compared]
    assert [text for text in read.texts["p"] if text in conclusions] == conclusions
