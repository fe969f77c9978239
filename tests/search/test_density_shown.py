"""Parameters of two families do not compare: wherever a schedule is shown, so is its density over ln sigma."""

import json
import re

import pytest

from search import cli
from search.evidence.leaderboard import leaderboard
from search.record import Purpose, Report, State, TrialRecord
from search.run import status
from search.screen import status_text
from search.screen.comparison import markdown
from search.screen.leaderboard_text import lines
from search.screen.live_state import LiveState
from search.screen.live_text import best_lines
from spaces import PRESETS
from spaces.sparkline import LEGEND, sparkline, with_density

ICT = PRESETS["ict"].schedule
RECORD = TrialRecord(
    number=0,
    purpose=Purpose.BASELINE,
    state=State.COMPLETE,
    schedule=ICT,
    seed=0,
    reports=(Report(step=100, objective=30.0, time_ms=0),),
    preset="ict",
)


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


def test_the_status_of_a_search_shows_it() -> None:
    best = status._best([RECORD])
    assert best is not None
    assert json.loads(json.dumps(best))["density"] == sparkline(ICT)
    found = {"name": "toy", "state": "stopped", "problem": None, "objective": "fd_toy", "total_steps": 100}
    trials = {"ended": 1, "most": 3, "open": 0, "done": 1, "stopped": 0, "diverged": 0, "failed": 0}
    hours = {"slot_hours": 0.1, "gpu_hours": 0.0}
    shown = status_text.details({**found, **hours, "trials": {**trials, "confirm_ended": 0}, "best": best})
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
