"""What version 0.2.0 left is read, gone on with and exported: a study, its search file, an exported JSON.

tests/data/version_0.2.0 was written by that version; `storage` is its storage folder without checkpoints and MLflow.
"""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from search.cli import main
from search.file.spec import load_spec, overridden
from search.policy.conductor import Conductor
from search.record import Purpose, Report, State
from search.running.plan_of import plan_of
from search.running.search import Search
from search.study.store import StudyStore
from spaces import load_schedule
from tests.version_0_2_0 import KEPT, copied_storage


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """The storage folder of that version, where it can be written to."""
    return copied_storage(tmp_path / "storage")


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


# Intervals follow another rule since: variances are moderated by the noise of schedules of the same kind without what
# is estimated, means and ratios hold together, rank correlations have Bonett & Wright's variance. That version's were
# too narrow (`python -m bench.quality.coverage`). What is tied follows from them; values and means do not.
BY_INTERVALS = {
    "interval",
    "ratio_interval",
    "interval_method",
    "rank",
    "tied",
    "tied_with",
    "low",
    "high",
    "finding",
}


def without_intervals(value: Any) -> Any:
    """The document without what follows from the rule of its intervals."""
    if isinstance(value, dict):
        return {key: without_intervals(part) for key, part in value.items() if key not in BY_INTERVALS}
    return [without_intervals(part) for part in value] if isinstance(value, list) else value


def test_its_leaderboard_is_the_same_but_for_the_intervals(
    storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = json.loads((KEPT / "leaderboard.json").read_text())
    found = printed(capsys, "leaderboard", "old", "--storage", str(storage))
    assert without_intervals({key: found[key] for key in expected}) == without_intervals(expected)
    wide, narrow = ({row["number"]: row["interval"] for row in board["rows"]} for board in (found, expected))
    for number, interval in narrow.items():
        assert (interval is None) == (wide[number] is None)
        assert interval is None or wide[number][0] < interval[0] < interval[1] < wide[number][1]


def test_a_trial_that_is_gone_is_missed_where_others_repeat_it(
    storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(storage / "old" / "study.db")) as connection:
        connection.execute("delete from trials where number = 0")
        connection.commit()
    assert main(["leaderboard", "old", "--storage", str(storage)]) == 1
    assert "has lost trial 0, which others repeat." in capsys.readouterr().err


def test_it_is_exported_as_before(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = storage / "again.json"
    assert main(["export", "old", "--storage", str(storage), "--output", str(output)]) == 0
    found, expected = json.loads(output.read_text()), json.loads((KEPT / "export.json").read_text())
    for document in (found, expected):
        document.pop("sampling")  # of files that are not kept here
        document["provenance"].pop("document_sha256", None)  # that version wrote none
    assert found.pop("searched_at")["network"] == expected["provenance"]["network"]
    assert found.pop("holds_at") == []
    assert found.pop("measures") == []
    assert found["evidence"].pop("warning") is None
    for one, other in zip(*(part["training"].pop("stages") for part in (found, expected)), strict=True):
        assert one["start_step"] == other["start_step"]
        for numbers in ("sigmas", "interval_probabilities"):  # to rounding: NumPy's functions are not torch's
            assert one[numbers] == pytest.approx(other[numbers], rel=1e-12)
    assert without_intervals(found) == without_intervals(expected)


def test_its_export_is_loaded() -> None:
    loaded = load_schedule(KEPT / "export.json")
    assert loaded.confirmed and not loaded.checked
    assert len(loaded.sampling.steps) == 2


def test_an_option_that_came_later_makes_no_other_search_of_it(storage: Path) -> None:
    search = Search.open("old", str(storage))
    assert "noise_band" not in search.header["identity"]["network"]
    more = search.amended({"budget.max_trials": 9})
    assert more.header["identity"]["budget"]["max_trials"] == 9


def test_its_search_is_extended(storage: Path) -> None:
    spec = load_spec(storage / "old" / "search.yaml")
    store = StudyStore.open(spec.study_url_resolved, spec.name)
    assert store is not None
    before = store.records()
    assert all(record.decisions == () for record in before)
    conductor = Conductor(plan_of(overridden(spec, {"budget.max_trials": 9}), 1), store)
    assert not conductor.finished
    while (record := conductor.next()) is not None:
        for step in conductor.plan.rungs:
            rungs = [s for s in conductor.plan.rungs if s <= step]
            reports = [Report(s, 430.0 + record.number - s / 1000, 0) for s in rungs]
            is_last = step == conductor.plan.total_steps
            if conductor.observe(record.number, step, reports, "complete" if is_last else None):
                break
    after = store.records()
    assert after[: len(before)] == before
    added = after[len(before) :]
    assert sum(record.purpose is Purpose.SEARCH for record in added) == 2
    assert all(record.decisions and record.state is not State.RUNNING for record in added)
    store.close()
