"""Parameters of two families do not compare: wherever a schedule is shown, so is its density over ln sigma."""

import json
import re
from pathlib import Path

import pytest

from search import cli
from search.evidence.leaderboard import leaderboard
from search.file.spec import load_spec
from search.policy.agenda import Agenda
from search.policy.trials import KeptTrial
from search.record import Purpose
from search.running.plan_of import plan_of
from search.running.status import status_of
from search.screen.comparison import markdown
from search.screen.leaderboard_text import lines
from search.screen.live_state import LiveState
from search.screen.live_text import best_lines
from search.screen.status_text import details
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
    (tmp_path / "toy.yaml").write_text(f"name: toy\ndata: digits\nstorage: {{path: {tmp_path}}}\n")
    spec = load_spec(tmp_path / "toy.yaml")
    agenda = Agenda.of(plan_of(spec, 1), [KeptTrial(RECORD, {})], {})
    found = status_of(spec, agenda, {}, since=None, now=0.0)
    assert json.loads(json.dumps(found))["best"]["density"] == sparkline(ICT)
    shown = details(found)
    assert f"           {with_density(ICT)}" in shown


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
