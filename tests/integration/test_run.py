"""Whole searches through the command line: real Ray, real trials, kills."""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from search.machine.checkout import ROOT
from search.record import Purpose, State, TrialRecord
from search.running.search import Search
from search.simulator.replay import Measured
from search.simulator.simulation import simulate
from spaces import NoiseSchedule, load_schedule
from tests.integration.processes import workers_of
from tests.integration.running import PLAIN, VARIED, finish, start, toy, until
from tests.version_0_2_0 import copied_storage
from trainable.task import OWN

pytestmark = pytest.mark.integration

SEARCH = toy(600, 10, VARIED)  # large enough that a kill falls into it: about 15 s of trials


def search_file(folder: Path, text: str = SEARCH) -> Path:
    path = folder / "toy.yaml"
    path.write_text(f"{text}\nstorage: {{path: {folder / 'runs'}}}\n")
    return path


def check_complete(folder: Path) -> None:
    """Every trial of the plan is there once, ended, with all its rungs, and the winner is confirmed."""
    records = Search.open("toy", str(folder / "runs")).records()
    assert Counter(record.purpose for record in records) == {
        Purpose.BASELINE: 1,
        Purpose.NOISE: 2,  # the baseline's part of the confirmation: the same seeds
        Purpose.SEARCH: 9,
        Purpose.CONFIRM: 4,
    }
    replicates = [record for record in records if record.replicate_of is not None]
    assert len({(record.replicate_of, record.seed) for record in replicates}) == len(replicates)
    for record in records:
        assert record.state in (State.COMPLETE, State.STOPPED), record
        steps = [report.step for report in record.reports]
        expected = [300, 450, 600]
        assert steps == (expected if record.state is State.COMPLETE else expected[: len(steps)])
        assert all(
            set(report.metrics) == {"fd_digits_cnn", "loss", "train_seconds"} for report in record.reports
        )


def check_page(folder: Path) -> None:
    """The page of the finished search is there, with images of two finalists and the baseline, and MLflow has it."""
    page = folder / "runs" / "toy" / "report.html"
    text = page.read_text()
    assert "The search is finished" in text
    assert text.count("data:image/png;base64,") == 2 * (1 + 3)
    (tracked,) = (folder / "runs" / "mlflow-artifacts").rglob("report.html")
    assert tracked.read_text() == text


def test_a_search_runs_to_its_winner_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    home = {path.name for path in Path.home().iterdir()}
    file, output = search_file(tmp_path), tmp_path / "best.json"
    code, out, err = finish(start("run", file, "--output", output))
    assert (code, err) == (0, "")
    assert "fd_digits_cnn" in out
    assert f"Open its page in a browser: {tmp_path / 'runs' / 'toy' / 'report.html'}\n" in out
    # On a busy machine a start of Ray is waited for, and that is told.
    told = [line.lower() for line in out.splitlines() if "no sign of life" not in line]
    assert not any("ray" in line.replace("starting ray", "") for line in told)
    check_complete(tmp_path)
    check_page(tmp_path)
    document = json.loads(output.read_text())
    assert document["confirmed"] is True
    assert document["objective"]["num_samples"] == 200
    assert {path.name for path in Path.home().iterdir()} == home

    study = (tmp_path / "runs" / "toy" / "study.db").stat().st_mtime_ns
    code, out, err = finish(start("run", file, "--output", output))
    assert (code, err) == (0, "")
    assert "finished already" in out
    assert json.loads(output.read_text()) == document
    assert (tmp_path / "runs" / "toy" / "study.db").stat().st_mtime_ns == study

    changed = search_file(tmp_path, SEARCH.replace("batch_size: 32", "batch_size: 64"))
    code, out, err = finish(start("run", changed))
    assert code == 2
    assert "training.batch_size" in err
    assert len(err.splitlines()) == 1
    code, _, err = finish(start("run", search_file(tmp_path), "--trials", 12))
    assert code == 2
    assert "another budget.max_trials. Do more of it with `python -m search extend toy --storage" in err

    # More of it: two more trials, then a third seed for those in the race.
    storage = ("--storage", tmp_path / "runs")
    code, out, err = finish(start("extend", "toy", "--trials", 2, *storage))
    assert (code, err) == (0, "")
    code, out, err = finish(start("confirm", "toy", "--seeds", 3, *storage))
    assert (code, err) == (0, "")
    records = Search.open("toy", str(tmp_path / "runs")).records()
    assert sum(record.purpose is Purpose.SEARCH for record in records) == 11
    assert 3 in {record.seed for record in records if record.purpose is Purpose.CONFIRM}
    assert not any(record.state is State.RUNNING for record in records)

    # Where it holds: at more steps, and in a network that the workers have to change for.
    settings = ("--at", "training: {total_steps: 2x}", "--at", "network: {name: film_mlp, width: 8}")
    code, out, err = finish(start("hold", "toy", *settings, "--seeds", 2, "--output", output, *storage))
    assert (code, err) == (0, "")
    search = Search.open("toy", str(tmp_path / "runs"))
    longer, narrow = search.board().settings
    assert (longer.setting.startswith("total_steps "), narrow.setting) == (True, "film_mlp(width=8)")
    assert longer.is_over and narrow.is_over and len(longer.rows) == len(narrow.rows) >= 2
    held = [record for record in search.records() if record.purpose is Purpose.HOLD]
    assert {record.reports[-1].step for record in held if record.setting == longer.setting} == {
        2 * search.spec.training.total_steps
    }
    document = json.loads(output.read_text())
    assert document["searched_at"]["network"] == search.spec.resolved()["network"]
    assert f"With {longer.setting}, against" in out and f"With {narrow.setting}, against" in out
    code, out, err = finish(start("hold", "toy", *settings, "--seeds", 2, "--output", output, *storage))
    assert (code, err) == (0, "") and "finished already" in out


def test_presets_are_compared_on_the_same_seeds(tmp_path: Path) -> None:
    file = search_file(tmp_path)
    code, out, err = finish(
        start("compare", file, "--presets", "ict_short,gokmen_constant,ict", "--seeds", 3, "--json")
    )
    assert code == 0, err
    board = json.loads(out)["leaderboard"]
    assert {row["preset"] for row in board["rows"]} == {"ict_short", "gokmen_constant", "ict"}
    assert all(sorted(row["values"]) == ["0", "1", "2"] for row in board["rows"])
    assert board["rows"][0]["rank"] == 1

    # On one more seed, those that are there are kept.
    more = (
        "--presets",
        "ict_short,gokmen_constant,ict",
        "--seeds",
        4,
        "--table",
        tmp_path / "table.md",
        "--json",
    )
    code, out, err = finish(start("compare", file, *more))
    assert code == 0, err
    longer = {row["preset"]: row for row in json.loads(out)["leaderboard"]["rows"]}
    for row in board["rows"]:
        assert longer[row["preset"]]["values"].items() > row["values"].items()
        assert longer[row["preset"]]["replicates"].items() > row["replicates"].items()
    assert (tmp_path / "table.md").read_text().count("\n") == 2 + 3
    storage, plot = ("--storage", tmp_path / "runs"), ("--plot", tmp_path / "leaders.png")
    code, out, err = finish(start("leaderboard", "toy-compare", *storage, *plot))
    assert (code, err) == (0, "")
    assert "vs ict" in out
    assert (tmp_path / "leaders.png").read_bytes().startswith(b"\x89PNG")


def ctrl_c(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """What becomes of the search at Ctrl-C."""
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the whole group
    return finish(process)


def test_ctrl_c_while_data_is_prepared_stops_at_once_and_says_how_to_go_on(tmp_path: Path) -> None:
    endless = "extractor: {name: digits_cnn, epochs: 1000000}, num_samples: 200"
    process = start("run", search_file(tmp_path, SEARCH.replace("num_samples: 200", endless)))
    assert process.stdout is not None
    assert "preparing data and feature network" in process.stdout.readline()
    time.sleep(3)  # into the training of the feature network, or before it
    code, _, err = ctrl_c(process)
    assert (code, err) == (130, "error: interrupted. The same command again goes on where this stopped\n")
    assert not (tmp_path / "runs" / "toy" / "study.db").exists()


def test_ctrl_c_stops_in_the_middle_of_trials_and_says_how_to_go_on(tmp_path: Path) -> None:
    text = SEARCH.replace("total_steps: 600", "total_steps: 60000")  # trials longer than the stop may take
    file = search_file(tmp_path, text)
    process = start("run", file)
    folder = tmp_path / "runs" / "toy"
    until(lambda: any(folder.glob("trials/00000/*.json")), 90, "a checkpoint is kept", pause=0.05)
    code, out, err = ctrl_c(process)
    assert code == 130
    assert all(line.startswith("warning: MLflow is not up to date") for line in err.splitlines()), err
    assert "Go on with:" in out
    records = Search.open("toy", str(tmp_path / "runs")).records()
    assert {record.state for record in records} == {State.RUNNING}
    # Where it stopped is kept, though no rung was reached.
    assert list(folder.glob("trials/00000/*.json"))


def test_a_second_driver_is_refused_and_a_lost_worker_replaced(tmp_path: Path) -> None:
    file = search_file(tmp_path)
    process = start("run", file)
    folder = tmp_path / "runs" / "toy"
    until((folder / "study.db").exists, 90, "the study is made", pause=0.05)
    code, _, err = finish(start("run", file))
    assert code == 1
    assert f"is being run by process {process.pid}. Wait for it, or run: " in err
    assert f"python -m search stop toy --storage {tmp_path / 'runs'}" in err
    until(lambda: bool(workers_of(process.pid)), 90, "trials run", pause=0.05)
    os.kill(workers_of(process.pid)[0], signal.SIGKILL)
    code, _, err = finish(process)
    assert (code, err) == (0, "")
    check_complete(tmp_path)


def test_the_simulator_decides_what_ray_and_real_trials_decided(tmp_path: Path) -> None:
    """Trials one at a time: what comes next does not hang on how long each took. Enough of them for the model."""
    text = toy(300, 20, VARIED).replace("max_concurrent: 2", "max_concurrent: 1")
    assert finish(start("run", search_file(tmp_path, text)))[0] == 0
    searched = Search.open("toy", str(tmp_path / "runs"))
    records = searched.records()
    trained = {(record.schedule, record.seed): record.reports for record in records}

    def replay(schedule: NoiseSchedule, seed: int, rungs: Sequence[int]) -> list[Measured]:
        return [
            Measured(report.step, report.objective, report.metrics["train_seconds"])
            for report in trained[schedule, seed]
        ]

    def told(record: TrialRecord) -> tuple[object, ...]:
        steps = [report.step for report in record.reports]
        return record.number, record.purpose, record.state, record.schedule, record.seed, steps

    assert any(record.state is State.STOPPED for record in records)
    assert [told(record) for record in simulate(searched.plan(), {OWN: replay}).records] == list(
        map(told, records)
    )


def test_if_every_trial_fails_the_cause_is_told_and_nothing_exported(tmp_path: Path) -> None:
    file = search_file(tmp_path, SEARCH.replace("max_trials: 10", "max_trials: 3"))
    # No trial can begin: every Python reads this file when it starts.
    (tmp_path / "sitecustomize.py").write_text(
        "from trainable.training.trainer import Trainer\n"
        "def begin(*arguments):\n"
        "    raise ValueError('no trial can begin')\n"
        "Trainer.begin = begin\n"
    )
    output = tmp_path / "best.json"
    code, _, err = finish(start("run", file, "--output", output, PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}"))
    assert code == 1
    [error] = [line for line in err.splitlines() if line.startswith("error: ")]
    assert "every trial of search 'toy' failed" in error
    assert "no trial can begin" in error
    assert not output.exists()
    # Run again it is as it was, and a file of an earlier search is not taken for its own.
    output.write_text("of another search")
    code, out, err = finish(start("run", file, "--output", output))
    assert code == 1
    assert "is finished already" in out
    assert err == f"{error}\n"
    assert output.read_text() == "of another search"
    output.unlink()
    records = Search.open("toy", str(tmp_path / "runs")).records()
    assert {record.state for record in records} == {State.FAILED}
    code, _, err = finish(start("export", "toy", "--storage", tmp_path / "runs", "--output", output))
    assert code == 1
    assert "nothing to export" in err


def test_a_search_of_an_earlier_version_is_extended(tmp_path: Path) -> None:
    file = copied_storage(tmp_path / "runs") / "old" / "search.yaml"
    file.write_text(file.read_text().replace("nfe:\n  - 2", "nfe: []"))  # its models are not kept here
    output = tmp_path / "best.json"
    process = start("extend", "old", "--trials", "2", "--storage", tmp_path / "runs", "--output", output)
    code, shown, errors = finish(process)
    assert code == 0, errors
    assert "trial 16" in shown
    assert load_schedule(output).confirmed


def folders_of(process: subprocess.Popen[str]) -> list[Path]:
    """The temporary folders of its Ray."""
    return list(Path(tempfile.gettempdir()).glob(f"search-{process.pid}-*"))


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_sigterm_and_a_closed_terminal_stop_as_ctrl_c_does(
    tmp_path: Path, number: signal.Signals, expected: int
) -> None:
    process = start("run", search_file(tmp_path, toy(4000, 4, PLAIN)))
    until(lambda: bool(workers_of(process.pid)), 90, "trials run")
    time.sleep(3)
    process.send_signal(number)
    code, out, err = finish(process)
    assert (code, "Traceback" in err, "SIGTERM" in err) == (expected, False, False)
    assert "Go on with:" in out
    assert workers_of(process.pid) == []
    assert folders_of(process) == []


def test_a_second_ctrl_c_leaves_no_process_and_no_folder(tmp_path: Path) -> None:
    process = start("run", search_file(tmp_path, toy(4000, 4, PLAIN)))
    until(lambda: bool(workers_of(process.pid)), 90, "trials run")
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] == 130
    until(lambda: not workers_of(process.pid), 10, "the workers have ended")
    assert folders_of(process) == []
