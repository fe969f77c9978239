"""Parameters of two families do not compare: wherever a schedule is shown, so is its density over ln sigma."""

import json
import re
from pathlib import Path

import pytest

from search import cli
from search.evidence.leaderboard import leaderboard
from search.file.spec import load_spec
from search.record import Purpose
from search.run.status import status_of
from search.screen.comparison import markdown
from search.screen.leaderboard_text import lines
from search.screen.live_state import LiveState
from search.screen.live_text import best_lines
from search.screen.status_text import details
from search.study.store import StudyStore
from spaces import PRESETS
from spaces.sparkline import LEGEND, sparkline, with_density
from tests.records import record

ICT = PRESETS["ict"].schedule
RECORD = record(0, 30.0, purpose=Purpose.BASELINE, preset="ict")


def test_one_line_of_a_schedule_begins_with_its_density() -> None:
    assert with_density(ICT) == f"|{sparkline(ICT)}| {ICT.describe()}"


def test_the_live_view_shows_it() -> None:
    live = LiveState("toy", "fd_toy", 100, now=0.0)
    live.put(RECORD)
    assert with_density(ICT) in best_lines(live)


def test_the_leaderboard_shows_it_and_says_what_it_is() -> None:
    text = "\n".join(lines(leaderboard("toy", "fd_toy", [RECORD])))
    assert f"|{sparkline(ICT)}| " in text
    assert LEGEND in text


def test_the_status_of_a_search_shows_it(tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "search.yaml").write_text(
        f"name: toy\ndata: digits\npresets: [ict]\nstorage: {{path: {tmp_path}}}\n"
    )
    spec = load_spec(folder / "search.yaml")
    store = StudyStore.create(spec.study_url_resolved, spec.name, {"search": spec.resolved()})
    store.add({"stage": "baseline", "preset": "ict", "schedule": ICT.to_dict(), "seed": 0}, {}, {})
    store.finish(RECORD)
    found = status_of("toy", folder)
    assert json.loads(json.dumps(found))["best"]["density"] == sparkline(ICT)
    assert f"           {with_density(ICT)}" in details(found)


def test_the_list_of_presets_shows_it_and_says_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "presets"]) == 0
    shown = capsys.readouterr().out.splitlines()
    for preset in PRESETS.values():
        assert f"    {with_density(preset.schedule)}" in shown
    assert shown[-1] == LEGEND


def test_the_table_of_a_comparison_shows_it() -> None:
    (row,) = markdown(leaderboard("toy", "fd_toy", [RECORD])).splitlines()[2:]
    (density,) = re.findall(r"`([ \u00a0▁▂▃▄▅▆▇█]{16})`", row)
    assert density.replace("\u00a0", " ") == sparkline(ICT)
    assert " " not in density  # of blanks in a code span Markdown drops some
