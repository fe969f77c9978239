"""The exported JSON: what it says, when it is refused, that it is whole."""

import json
from pathlib import Path
from typing import Any

import pytest

from search.errors import OperationFailed
from search.evidence.leaderboard import Leaderboard, leaderboard
from search.record import Purpose
from search.winner.document import export_document, export_text, write_export
from spaces import PRESETS, NoiseSchedule
from tests.records import record, replicates

ICT, FOUND = PRESETS["ict"].schedule, PRESETS["gokmen_constant"].schedule
TOTAL_STEPS = 2000
HEADER: dict[str, Any] = {
    "search": {
        "training": {"total_steps": TOTAL_STEPS, "huber_c": 0.00054, "sigma_data": 0.5, "batch_size": 128},
        "objective": {"num_samples": 2000},
        "data": {"name": "digits"},
        "network": {"name": "film_mlp"},
        "budget": {"max_trials": 24},
    },
    "extractor_sha256": "e" * 64,
    "data_sha256": "d" * 64,
    "versions": {"torch": "2.13.0"},
    "git_commit": None,
}


def board(confirmed: bool) -> Leaderboard:
    records = [
        record(0, (TOTAL_STEPS, 60.0), purpose=Purpose.BASELINE, preset="ict"),
        record(1, (TOTAL_STEPS, 30.0), schedule=FOUND),
    ]
    if confirmed:
        at_end = {"step": TOTAL_STEPS, "schedule": FOUND}
        records += replicates(0, (60.0, 62.0, 61.0), first=2, **at_end)
        records += replicates(1, (40.0, 43.0, 41.0), first=5, **at_end)
    return leaderboard("toy", "fd_toy", records)


def test_the_winner_is_exported_with_its_evidence() -> None:
    document = json.loads(export_text(export_document(board(confirmed=True), HEADER)))
    assert document["format"] == "noise-schedule/1"
    assert document["confirmed"] is True
    assert NoiseSchedule.from_dict(document["schedule"]) == FOUND
    evidence = document["evidence"]
    assert evidence["values"] == {"1": 40.0, "2": 43.0, "3": 41.0}
    assert evidence["mean"] == pytest.approx((40.0 * 43.0 * 41.0) ** (1 / 3))
    assert evidence["interval"][0] < evidence["mean"] < evidence["interval"][1]
    assert evidence["ratio"] == pytest.approx((40 / 60 * 43 / 62 * 41 / 61) ** (1 / 3))
    assert evidence["ratio_interval"][0] < evidence["ratio"] < evidence["ratio_interval"][1] < 1
    assert evidence["difference"] == pytest.approx(evidence["mean"] - evidence["baseline_mean"])
    assert evidence["missing"] == 0
    assert evidence["optimism"] == pytest.approx(evidence["mean"] - 30.0)
    assert (evidence["baseline"], evidence["tied_with"]) == ("ict", [])
    assert document["objective"]["extractor_sha256"] == "e" * 64
    assert document["provenance"]["trial"] == 1


def test_the_plain_numbers_are_the_schedules_own() -> None:
    document = export_document(board(confirmed=True), HEADER)
    stages = FOUND.stages(TOTAL_STEPS)
    assert len(document["training"]["stages"]) == len(stages)
    for plain, stage in zip(document["training"]["stages"], stages, strict=True):
        assert plain["start_step"] == stage.start_step
        assert plain["sigmas"] == stage.sigma_N.tolist()
        assert plain["interval_probabilities"] == stage.probability_M.tolist()
        assert len(plain["sigmas"]) == len(plain["interval_probabilities"]) + 1


def test_without_confirmation_the_export_is_refused_or_says_so() -> None:
    unconfirmed = board(confirmed=False)
    with pytest.raises(OperationFailed, match="--unconfirmed"):
        export_document(unconfirmed, HEADER)
    document = export_document(unconfirmed, HEADER, unconfirmed=True)
    assert document["confirmed"] is False
    assert document["evidence"]["mean"] is None
    assert document["evidence"]["search_value"] == 30.0


def test_the_flag_does_not_pass_over_a_confirmed_winner() -> None:
    document = export_document(board(confirmed=True), HEADER, unconfirmed=True)
    assert document["confirmed"] is True


def test_a_search_without_results_has_nothing_to_export() -> None:
    with pytest.raises(OperationFailed, match="nothing to export"):
        export_document(leaderboard("toy", "fd_toy", []), HEADER, unconfirmed=True)


def test_a_file_that_cannot_be_written_is_one_line_and_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "best.json"
    write_export(target, {"old": 1})
    (tmp_path / "folder").mkdir()
    with pytest.raises(OperationFailed, match="cannot be written"):
        write_export(tmp_path / "folder", {"new": 2})
    assert json.loads(target.read_text()) == {"old": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.json", "folder"]
