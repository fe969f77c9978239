"""Whole searches through the command line: real Ray, real trials, kills."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from search.record import Stage, State
from search.session import find_spec, open_store

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]

# Large enough that a kill falls into it, small enough for a test: about 15 s of trials.
SEARCH = """
name: toy
data: digits
network: {name: film_mlp, width: 16, depth: 1}
training: {total_steps: 600, batch_size: 32}
objective: {num_samples: 200}
space:
  noise: {lognormal: , logsnr_laplace: }
  curriculum: {constant: {levels: {low: 5, high: 40}}}
presets: [ict_short]
budget: {max_trials: 10}
noise_floor: {seeds: 2}
confirm: {top: 2, rounds: [2]}
resources: {max_concurrent: 2}
"""


def search_file(folder: Path, text: str = SEARCH) -> Path:
    path = folder / "toy.yaml"
    path.write_text(f"{text}\nstorage: {{path: {folder / 'runs'}}}\n")
    return path


def start(*arguments: object) -> subprocess.Popen[str]:
    """A command in a process group of its own, with the default handling of Ctrl-C."""
    return subprocess.Popen(
        [sys.executable, "-m", "search", *map(str, arguments)],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def finish(process: subprocess.Popen[str], timeout: float = 240) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, out, err


def check_complete(folder: Path) -> None:
    """Every trial of the plan is there once, ended, with all its rungs, and the winner is confirmed."""
    records = open_store(find_spec("toy", str(folder / "runs"))).records()
    assert Counter(record.stage for record in records) == {
        Stage.BASELINE: 1,
        Stage.NOISE: 2,  # the baseline's part of the confirmation: the same seeds
        Stage.SEARCH: 9,
        Stage.CONFIRM: 4,
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


def workers_of(session: int) -> list[int]:
    """Processes of a session that run trials."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z" and b"Trainable" in command:
            found.append(int(folder.name))
    return found


def test_a_search_runs_to_its_winner_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    home = {path.name for path in Path.home().iterdir()}
    file, output = search_file(tmp_path), tmp_path / "best.json"
    code, out, err = finish(start("run", file, "--output", output))
    assert (code, err) == (0, "")
    assert "fd_digits_cnn" in out
    assert "ray" not in out.lower().replace("starting ray", "")
    check_complete(tmp_path)
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
    assert "another budget.max_trials. Do more of it with `extend toy`" in err

    # More of it: two more trials, then a third seed for those in the race.
    storage = ("--storage", tmp_path / "runs")
    code, out, err = finish(start("extend", "toy", "--trials", 2, *storage))
    assert (code, err) == (0, "")
    code, out, err = finish(start("confirm", "toy", "--seeds", 3, *storage))
    assert (code, err) == (0, "")
    records = open_store(find_spec("toy", str(tmp_path / "runs"))).records()
    assert sum(record.stage is Stage.SEARCH for record in records) == 11
    assert 3 in {record.seed for record in records if record.stage is Stage.CONFIRM}
    assert not any(record.state is State.RUNNING for record in records)


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


@pytest.mark.parametrize("moment", range(5))
def test_a_killed_driver_loses_nothing(tmp_path: Path, moment: int) -> None:
    file = search_file(tmp_path)
    process = start("run", file)
    folder = tmp_path / "runs" / "toy"
    deadline = time.monotonic() + 90
    while not list(folder.glob("trials/*/*.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(random.Random(moment).uniform(0, 6))
    process.kill()
    process.wait()
    for pipe in (process.stdout, process.stderr):
        assert pipe is not None
        pipe.close()
    before = {r.number: r for r in open_store(find_spec("toy", str(tmp_path / "runs"))).records()}
    deadline = time.monotonic() + 30
    while workers_of(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert workers_of(process.pid) == []  # they went with their driver
    reports = {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("trials/*/000000300.json")}

    code, _, err = finish(start("run", file))
    assert (code, err) == (0, "")
    check_complete(tmp_path)
    after = {r.number: r for r in open_store(find_spec("toy", str(tmp_path / "runs"))).records()}
    for number, record in before.items():
        known = {report.step: report.objective for report in record.reports}
        assert known.items() <= {r.step: r.objective for r in after[number].reports}.items()
        if record.state is not State.RUNNING:
            assert after[number] == record
    for path in folder.glob("trials/*/000000300.json"):
        if path.parent.name in reports:  # a rung that had been checkpointed was not trained again
            assert path.stat().st_mtime_ns == reports[path.parent.name]


def test_ctrl_c_stops_in_the_middle_of_trials_and_says_how_to_go_on(tmp_path: Path) -> None:
    text = SEARCH.replace("total_steps: 600", "total_steps: 60000")  # trials longer than the stop may take
    file = search_file(tmp_path, text)
    process = start("run", file)
    folder = tmp_path / "runs" / "toy"
    deadline = time.monotonic() + 90
    while not workers_of(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(5)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the whole group
    code, out, err = finish(process, timeout=60)
    assert (code, err) == (130, "")
    assert "Go on with:" in out
    records = open_store(find_spec("toy", str(tmp_path / "runs"))).records()
    assert {record.state for record in records} == {State.RUNNING}
    # Where it stopped is kept, though no rung was reached.
    assert list(folder.glob("trials/00000/*.json"))


def test_a_lost_worker_is_replaced_and_its_trial_goes_on(tmp_path: Path) -> None:
    file = search_file(tmp_path)
    process = start("run", file)
    folder = tmp_path / "runs" / "toy"
    deadline = time.monotonic() + 90
    while not list(folder.glob("trials/*/*.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = workers_of(process.pid)
    assert workers
    os.kill(workers[0], signal.SIGKILL)
    code, _, err = finish(process)
    assert (code, err) == (0, "")
    check_complete(tmp_path)


def test_a_second_driver_of_the_same_search_is_refused(tmp_path: Path) -> None:
    file = search_file(tmp_path)
    first = start("run", file)
    deadline = time.monotonic() + 90
    while not (tmp_path / "runs" / "toy" / "study.db").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    code, _, err = finish(start("run", file))
    assert code == 1
    assert "is being run by process" in err
    assert finish(first)[0] == 0
    check_complete(tmp_path)


def test_if_every_trial_fails_the_cause_is_told_and_nothing_exported(
    tmp_path: Path, monkeypatch: Any
) -> None:
    # A trial folder that cannot be made: every trial fails for the same reason.
    file = search_file(tmp_path, SEARCH.replace("max_trials: 10", "max_trials: 3"))
    folder = tmp_path / "runs" / "toy"
    folder.mkdir(parents=True)
    (folder / "trials").write_text("a file where a folder should be")
    output = tmp_path / "best.json"
    code, _, err = finish(start("run", file, "--output", output))
    assert code == 1
    assert err.count("\n") == 1
    assert "every trial of search 'toy' failed" in err
    assert "NotADirectoryError" in err or "FileExistsError" in err
    assert not output.exists()
    records = open_store(find_spec("toy", str(tmp_path / "runs"))).records()
    assert {record.state for record in records} == {State.FAILED}
    code, _, err = finish(start("export", "toy", "--storage", tmp_path / "runs", "--output", output))
    assert code == 1
    assert "nothing to export" in err
