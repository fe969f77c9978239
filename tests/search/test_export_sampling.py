"""Sampling levels of a search: whose model, where kept, what the export says; the verb on a small search."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from search import cli
from search.errors import InputError, OperationFailed
from search.evidence.leaderboard import Leaderboard, leaderboard
from search.record import State, TrialRecord
from search.running.search import Search
from search.study.trial_storage import TrialStorage
from search.winner.measured_sampling import together, write_sampling
from search.winner.sampling import lines, median_trial, read_sampling, sampling_part, trial_to_measure
from spaces import PRESETS, load_schedule
from spaces.sparkline import with_density
from tests.played import played
from tests.records import record, replicates
from trainable.task import SAMPLING_FILE

ICT = PRESETS["ict"].schedule


def confirmed(*values: float, state: State = State.COMPLETE) -> list[TrialRecord]:
    """A trial 0, and a replicate of it for each value."""
    return [record(0, 5.0), *replicates(0, values, first=1, state=state)]


def board(records: list[TrialRecord]) -> Leaderboard:
    return leaderboard("toy", "fd_toy", records)


def measured_of(number: int) -> dict[str, Any]:
    row = {"name": "one_step", "sigmas": [80.0], "distance": 3.0}
    return {
        "trial": number,
        "objective": "fd_toy",
        "num_samples": 100,
        "extractor_sha256": "e" * 64,
        "method": "by hand",
        "search_seed": 1,
        "held_out_seeds": [2],
        "num_evaluations": 9,
        "metrics": {"fd_toy_nfe2": 3.0},
        "best": {"1": row, "2": {**row, "name": "optimised", "sigmas": [80.0, 0.9]}},
        "baselines": {"2": [{**row, "name": "ict_published", "sigmas": [80.0, 0.821], "distance": 4.0}]},
    }


@pytest.mark.parametrize(
    ("values", "median"), [((9.0,), 1), ((9.0, 7.0, 8.0), 3), ((4.0, 3.0, 2.0, 1.0), 3), ((2.0, 2.0, 2.0), 2)]
)
def test_the_default_is_the_replicate_with_the_median_value_the_lower_of_two(
    values: tuple[float, ...], median: int
) -> None:
    records = confirmed(*values)
    winner = board(records).winner
    assert winner is not None
    found = median_trial(winner)
    assert found is not None and found.number == median
    assert trial_to_measure(records, winner, None, "toy") is found


def test_a_diverged_replicate_has_no_model_to_sample_from() -> None:
    records = confirmed(1.0, 2.0)
    records += replicates(0, [1e9], first=3, seed=3, state=State.DIVERGED)
    winner = board(records).winner
    assert winner is not None
    median = median_trial(winner)
    assert median is not None and median.number == 1


def test_what_cannot_be_sampled_is_refused() -> None:
    records = [*confirmed(1.0), record(2, 9.0, state=State.STOPPED), record(3)]
    winner = board(records).winner
    assert trial_to_measure(records, winner, 0, "toy").number == 0
    for number, message in [
        (2, "trial 2 is stopped: only one that ran to its full budget"),
        (3, "trial 3 is running"),
        (4, "search 'toy' has no trial 4: there are 4, counted from 0"),
        (-1, "has no trial -1"),
    ]:
        with pytest.raises(InputError, match=message):
            trial_to_measure(records, winner, number, "toy")
    with pytest.raises(InputError, match="name a finished trial with --trial N"):
        trial_to_measure(records, None, None, "toy")


def test_the_median_trials_file_is_taken_before_another_one_of_the_winner(tmp_path: Path) -> None:
    records = [*confirmed(9.0, 7.0, 8.0), record(4, 1.0)]
    winner = next(row for row in board(records).rows if row.record.number == 0)
    trials = TrialStorage(tmp_path)
    assert read_sampling(trials, winner) is None
    for number in (4, 2, 1, 3):  # the last is the median
        path = Path(write_sampling(trials, records[number], measured_of(number)))
        assert path == Path(trials.location_of(number, SAMPLING_FILE))
        found = read_sampling(trials, winner)
        assert (None if found is None else found["trial"]) == {4: None, 2: 2, 1: 1, 3: 3}[number]
    path.write_text("{")
    with pytest.raises(OperationFailed, match="Measure again"):
        read_sampling(trials, winner)


def test_what_was_measured_for_other_numbers_of_evaluations_stays() -> None:
    def of(*numbers: int, distance: float = 3.0, **changes: Any) -> dict[str, Any]:
        row = {"sigmas": [80.0], "distance": distance}
        return {
            **measured_of(3),
            "data_sha256": "d" * 64,
            "best": {str(n): row for n in numbers},
            "baselines": {str(n): [row] for n in numbers if n > 1},
            "metrics": {f"fd_toy_nfe{n}": distance for n in numbers},
            "num_evaluations": 100,
            **changes,
        }

    assert together(None, of(1, 2)) == of(1, 2)
    found = together(of(1, 3, 10), of(1, 2, 3, distance=5.0))
    assert {n: row["distance"] for n, row in found["best"].items()} == {
        "1": 5.0,
        "2": 5.0,
        "3": 5.0,
        "10": 3.0,
    }
    assert list(found["best"]) == ["1", "2", "3", "10"]
    assert list(found["baselines"]) == ["2", "3", "10"]
    assert found["metrics"] == {f"fd_toy_nfe{n}": row["distance"] for n, row in found["best"].items()}
    assert found["num_evaluations"] == 200
    for changes in ({"num_samples": 500}, {"held_out_seeds": [4]}, {"extractor_sha256": "f" * 64}):
        assert together(of(1, 3, **changes), of(1, 2)) == of(1, 2)


def test_the_export_has_the_levels_their_distances_and_the_baselines() -> None:
    assert sampling_part(ICT, None)["steps"] == {"1": [80.0]}
    part = sampling_part(ICT, measured_of(3))
    assert part["steps"] == {"1": [80.0], "2": [80.0, 0.9]}
    assert part["measured"]["distances"] == {"1": 3.0, "2": 3.0}
    assert part["measured"]["trial"] == 3
    assert part["measured"]["baselines"] == [
        {"name": "ict_published", "network_evaluations": 2, "sigmas": [80.0, 0.821], "distance": 4.0}
    ]


def test_the_table_is_one_line_for_each_set_of_levels() -> None:
    text = lines(measured_of(3))
    assert len(text) == 4
    assert text[2].split() == ["2", "3.00", "80,", "0.9", "optimised"]
    assert all(len(line) <= 80 for line in text)


SEARCH = """
name: toy
data: digits
network: {name: film_mlp, width: 16, depth: 1}
training: {total_steps: 60, batch_size: 16}
objective: {extractor: pixels, num_samples: 100}
space:
  noise: {lognormal: }
  curriculum: {constant: {levels: {low: 5, high: 10}}}
presets: [ict_short]
budget: {max_trials: 2}
stopping: none
confirm: {top: 1, rounds: [2]}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished search: the conductor and a worker, without Ray."""
    folder = tmp_path_factory.mktemp("search")
    played(folder, SEARCH)
    return folder


def test_the_verb_measures_the_winner_keeps_it_and_the_export_takes_it(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(finished)
    assert cli.main(["sampling", "toy", "--nfe", "2"]) == 0
    shown = capsys.readouterr()
    assert "a replicate of trial" in shown.out
    assert "fd_pixels" in shown.out
    assert "2 network evaluations: " in shown.err
    (kept,) = finished.glob(f"runs/toy/trials/*/{SAMPLING_FILE}")
    measured = json.loads(kept.read_text())
    assert set(measured["metrics"]) == {"fd_pixels_nfe1", "fd_pixels_nfe2"}
    assert measured["trial"] == int(kept.parent.name)

    kept.write_text("{")  # damaged: replaced
    assert cli.main(["sampling", "toy", "--nfe", "3"]) == 0
    assert set(json.loads(kept.read_text())["best"]) == {"1", "3"}
    assert cli.main(["sampling", "toy", "--nfe", "2"]) == 0
    again = json.loads(kept.read_text())
    assert list(again["best"]) == ["1", "2", "3"]
    assert again["best"]["2"] == measured["best"]["2"]
    measured = again

    capsys.readouterr()
    assert cli.main(["export", "toy"]) == 0
    loaded = load_schedule("best_schedule.json")
    assert capsys.readouterr().out.startswith(f"{with_density(loaded.schedule)}\n")
    assert loaded.confirmed and loaded.sampling is not None and loaded.sampling.measured is not None
    assert loaded.sampling.steps[2] == tuple(measured["best"]["2"]["sigmas"])
    assert loaded.sampling.distances[2] == measured["metrics"]["fd_pixels_nfe2"]
    assert loaded.sampling.measured["trial"] == measured["trial"]

    assert cli.main(["export", "toy", "--format", "k-diffusion", "--json"]) == 0
    assert set(json.loads(Path("best_schedule_k_diffusion/sigmas.json").read_text())) == {"1", "2", "3"}


def test_another_trials_levels_are_measured_but_not_exported(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(finished)
    records = Search.open("toy.yaml").records()
    winner = board(records).winner
    assert winner is not None
    other = next(r for r in records if r.replicate_of is None and r.number != winner.record.number)
    assert cli.main(["sampling", "toy", "--trial", str(other.number), "--nfe", "2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["trial"] == other.number
    assert Path(result["file"]).is_relative_to(TrialStorage(finished / "runs/toy").location_of(other.number))
    assert cli.main(["export", "toy", "--output", "other.json"]) == 0
    sampling = load_schedule("other.json").sampling
    assert sampling is not None
    assert sampling.measured is None or sampling.measured["trial"] != other.number


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--nfe", "1"], 2, "`--nfe` is numbers from 2 to 10, like 2,3,4, but got '1'"),
        (["--nfe", "2,x"], 2, "but got '2,x'"),
        (["--trial", "99"], 2, "search 'toy' has no trial 99"),
    ],
)
def test_bad_arguments_are_one_line(
    arguments: list[str],
    code: int,
    message: str,
    finished: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(finished)
    assert cli.main(["sampling", "toy", *arguments]) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_model_that_is_gone_is_one_line(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(finished)
    folder = Path(TrialStorage(finished / "runs/toy").location_of(0))
    kept = {path: path.read_bytes() for path in folder.glob("0*")}
    for path in kept:
        path.unlink()
    try:
        assert cli.main(["sampling", "toy", "--trial", "0"]) == 1
    finally:
        for path, content in kept.items():
            path.write_bytes(content)
    assert "trial 0 cannot be sampled: a checkpoint of step 60 is needed" in capsys.readouterr().err


def test_a_distance_is_comparable_to_the_searchs_own(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One step on other noise: the same model, the same measure. Four seeds differ by 1 %: their mean by 5 % never."""
    monkeypatch.chdir(finished)
    records = Search.open("toy.yaml").records()
    assert cli.main(["sampling", "toy", "--trial", "0", "--nfe", "2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    own = records[0].objective
    assert own is not None
    assert math.isclose(result["best"]["1"]["distance"], own, rel_tol=0.05)
