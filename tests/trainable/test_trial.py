"""A trial on one device: rungs, pauses, resume, divergence, errors. No Ray."""

import errno
import json
import math
import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from spaces import PRESETS, NoiseSchedule
from spaces.registry import name_of
from trainable import trial
from trainable.storage import local as storage
from trainable.storage.folder import StorageError
from trainable.storage.local import LocalFolder
from trainable.task import FOUND_FILE, NO_STORAGE, WORST_OBJECTIVE, Progress, TrialTask
from trainable.training import accumulation
from trainable.trial import TrialWorker, failed

SCHEDULE = PRESETS["ict"].schedule.to_dict()


def task(folder: Path, number: int = 0, seed: int = 0, schedule: dict[str, Any] | None = None) -> TrialTask:
    return TrialTask(
        number=number,
        schedule=schedule or SCHEDULE,
        seed=seed,
        rungs=(60, 90, 120),
        folder=str(folder / str(number)),
    )


def to_the_end(worker: TrialWorker) -> Progress:
    while True:
        progress = worker.advance()
        if progress.outcome is not None:
            return progress


def objectives(progress: Progress) -> dict[int, float]:
    return {report["step"]: report["objective"] for report in progress.reports}


def test_a_trial_is_measured_at_its_rungs_and_then_complete(
    worker: Callable[..., TrialWorker], tmp_path: Path
) -> None:
    run = worker()
    run.begin(task(tmp_path))
    seen = [run.advance() for _ in range(3)]
    assert [progress.step for progress in seen] == [60, 90, 120]
    assert [progress.outcome for progress in seen] == [None, None, "complete"]
    report = seen[-1].reports[-1]
    assert set(report["metrics"]) == {"fd_digits_cnn", "loss", "train_seconds"}
    assert report["objective"] == report["metrics"]["fd_digits_cnn"] > 0
    assert report["time_ms"] == 10**12
    assert (tmp_path / "0" / "samples.png").read_bytes().startswith(b"\x89PNG")


def test_pausing_changes_nothing_but_the_number_of_answers(
    worker: Callable[..., TrialWorker], tmp_path: Path
) -> None:
    whole, paused = worker(), worker()
    whole.begin(task(tmp_path))
    paused.begin(task(tmp_path, number=1))
    answers = 1
    while (progress := paused.advance(pause_seconds=0)).outcome is None:
        answers += 1
    assert answers > 50
    expected = to_the_end(whole)
    assert objectives(progress) == objectives(expected)
    for mine, theirs in zip(progress.reports, expected.reports, strict=True):
        assert mine["metrics"]["loss"] == theirs["metrics"]["loss"]


@pytest.mark.parametrize("pauses", [1, 30, 61, 100])
def test_a_worker_lost_anywhere_is_replaced_without_a_trace(
    worker: Callable[..., TrialWorker], tmp_path: Path, pauses: int
) -> None:
    whole = worker()
    whole.begin(task(tmp_path))
    expected = to_the_end(whole)
    first = worker()
    first.begin(task(tmp_path, number=1))
    for _ in range(pauses):
        progress = first.advance(pause_seconds=0)
    first.checkpoint()
    second = worker()
    second.begin(task(tmp_path, number=1))
    replay = second.advance()
    assert replay == progress  # told before anything is trained
    assert objectives(to_the_end(second)) == objectives(expected)


def test_one_worker_runs_trials_one_after_another_as_if_each_were_the_first(
    worker: Callable[..., TrialWorker], tmp_path: Path
) -> None:
    shared = worker()
    shared.begin(task(tmp_path, number=0, seed=3))
    to_the_end(shared)
    shared.begin(task(tmp_path, number=1, seed=5))
    fresh = worker()
    fresh.begin(task(tmp_path, number=2, seed=5))
    assert objectives(to_the_end(shared)) == objectives(to_the_end(fresh))


def test_a_finished_trial_that_is_begun_again_only_repeats_its_answer(
    worker: Callable[..., TrialWorker], tmp_path: Path
) -> None:
    run = worker()
    run.begin(task(tmp_path))
    expected = to_the_end(run)
    run.begin(task(tmp_path))
    again = run.advance()
    assert (again.outcome, again.reports) == ("complete", expected.reports)


def test_a_diverged_trial_ends_at_once_with_the_worst_value(
    worker: Callable[..., TrialWorker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = accumulation.consistency_loss
    monkeypatch.setattr(accumulation, "consistency_loss", lambda *args: loss(*args) * math.inf)
    run = worker()
    run.begin(task(tmp_path))
    progress = run.advance()
    assert progress.outcome == "diverged"
    assert progress.step < 60
    assert progress.reports == [
        {
            "step": 60,
            "objective": WORST_OBJECTIVE,
            "time_ms": 10**12,
            "metrics": {"fd_digits_cnn": WORST_OBJECTIVE},
        }
    ]
    run.checkpoint()
    assert not list((tmp_path / "0").glob("*.safetensors"))


def test_a_damaged_checkpoint_costs_steps_but_not_the_result(
    worker: Callable[..., TrialWorker], tmp_path: Path
) -> None:
    run = worker()
    run.begin(task(tmp_path))
    run.advance(), run.advance()
    path = tmp_path / "0" / "000000090.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    again = worker()
    again.begin(task(tmp_path))
    assert again.advance().step == 60
    expected = to_the_end(run)
    assert objectives(to_the_end(again)) == objectives(expected)


def test_a_checkpoint_of_another_schedule_is_refused(
    worker: Callable[..., TrialWorker], tmp_path: Path
) -> None:
    run = worker()
    run.begin(task(tmp_path))
    run.advance()
    shutil.copytree(tmp_path / "0", tmp_path / "1")
    with pytest.raises(ValueError, match="another trial"):
        run.begin(task(tmp_path, number=1, seed=9))


ADAPTIVE = {**SCHEDULE, "noise": {"name": "loss_second_moment", "num_bins": 4, "history": 40, "every": 10}}
LEARNED = {**SCHEDULE, "weight": {"name": "learned_uncertainty"}}


def found_schedule(folder: Path) -> NoiseSchedule:
    return NoiseSchedule.from_dict(json.loads((folder / FOUND_FILE).read_text()))


@pytest.mark.parametrize(("schedule", "part"), [(ADAPTIVE, "noise"), (LEARNED, "weight")])
def test_an_adaptive_trial_keeps_at_each_rung_the_schedule_that_it_has_found(
    worker: Callable[..., TrialWorker], tmp_path: Path, schedule: dict[str, Any], part: str
) -> None:
    run = worker()
    run.begin(task(tmp_path, schedule=schedule))
    run.advance(pause_seconds=0)
    assert not (tmp_path / "0" / FOUND_FILE).exists()
    found = []
    while len(found) < 3:
        run.advance()
        came_to = found_schedule(tmp_path / "0")
        assert name_of(getattr(came_to, part)) == "tabulated"
        assert came_to.curriculum == PRESETS["ict"].schedule.curriculum
        found.append(came_to)
    assert len(set(found)) == 3


@pytest.mark.parametrize("schedule", [ADAPTIVE, LEARNED], ids=["noise", "weight"])
def test_a_replaced_worker_finds_the_same_schedule(
    worker: Callable[..., TrialWorker], tmp_path: Path, schedule: dict[str, Any]
) -> None:
    whole, first, second = worker(), worker(), worker()
    whole.begin(task(tmp_path, schedule=schedule))
    first.begin(task(tmp_path, number=1, schedule=schedule))
    for _ in range(75):
        first.advance(pause_seconds=0)
    first.checkpoint()
    second.begin(task(tmp_path, number=1, schedule=schedule))
    to_the_end(second)
    to_the_end(whole)
    assert found_schedule(tmp_path / "1") == found_schedule(tmp_path / "0")


def test_a_static_trial_has_found_nothing(worker: Callable[..., TrialWorker], tmp_path: Path) -> None:
    run = worker()
    run.begin(task(tmp_path))
    to_the_end(run)
    assert not (tmp_path / "0" / FOUND_FILE).exists()


def test_an_error_becomes_one_line(tmp_path: Path) -> None:
    error = RuntimeError("CUDA error: something\nwith a long explanation")
    progress = failed(task(tmp_path), error)
    assert (progress.outcome, progress.reason) == ("failed", "RuntimeError: CUDA error: something")


@pytest.mark.parametrize("number", [errno.ESTALE, errno.ENOSPC])
def test_without_its_folder_a_trial_is_not_failed_and_goes_on_later(
    worker: Callable[..., TrialWorker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def away(path: Path, data: bytes) -> None:
        raise OSError(number, os.strerror(number))

    run = worker()
    monkeypatch.setattr(trial, "STORAGE_PATIENCE_SECONDS", 0.5)
    run.begin(task(tmp_path))
    run.advance()
    with monkeypatch.context() as broken:
        broken.setattr(storage, "write_atomically", away)
        with pytest.raises(StorageError) as caught:
            to_the_end(run)
    answer = failed(task(tmp_path), caught.value)
    assert answer.outcome == NO_STORAGE
    assert answer.reason is not None
    assert socket.gethostname() in answer.reason
    assert os.strerror(number) in answer.reason
    again = worker()
    again.begin(task(tmp_path))
    assert [report["step"] for report in again.advance().reports] == [60]
    assert to_the_end(again).outcome == "complete"


def test_a_machine_that_does_not_see_the_mark_of_the_search_keeps_nothing_there(
    worker: Callable[..., TrialWorker], tmp_path: Path
) -> None:
    place = tmp_path / "toy"
    mine = replace(task(place / "trials"), search_location=str(place), mark="study-aa")
    run = worker()
    with pytest.raises(StorageError) as caught:
        run.begin(mine)
    assert not place.exists()
    answer = failed(mine, caught.value)
    assert answer.outcome == NO_STORAGE
    assert answer.reason is not None
    assert f"{place} is not what the driver sees there" in answer.reason
    LocalFolder(str(place)).write("study-aa", b"")
    run.begin(mine)
    run.advance()
    (place / "study-aa").unlink()  # its mount is lost: noticed at the next trial
    with pytest.raises(StorageError):
        run.begin(mine)


def test_in_a_bucket_the_mark_is_looked_for_once(
    worker: Callable[..., TrialWorker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    class Bucket(LocalFolder):
        is_remote = True

        def read(self, name: str) -> bytes | None:
            read.append(name)
            return super().read(name)

    monkeypatch.setattr(trial, "open_folder", lambda location, **options: Bucket(str(location)))
    LocalFolder(str(tmp_path)).write("study-aa", b"")
    run = worker()
    for number in range(3):
        run.begin(replace(task(tmp_path / "trials", number), search_location=str(tmp_path), mark="study-aa"))
    assert read.count("study-aa") == 1


def test_a_trial_leaves_the_global_random_state_alone(
    worker: Callable[..., TrialWorker], tmp_path: Path
) -> None:
    before = torch.random.get_rng_state()
    run = worker()
    run.begin(task(tmp_path))
    to_the_end(run)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_damaged_checkpoint_is_told_with_the_step_that_the_trial_goes_on_from(
    worker: Callable[..., TrialWorker], tmp_path: Path
) -> None:
    whole = worker()
    whole.begin(task(tmp_path))
    expected = to_the_end(whole)
    first = worker()
    first.begin(task(tmp_path, number=1))
    for _ in range(2):
        first.advance()
    folder = tmp_path / "1"
    damaged = folder / "000000090.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    second = worker()
    second.begin(task(tmp_path, number=1))
    told = second.advance()
    assert told.step == 60
    assert told.notes == (
        f"the checkpoint of step 90 in {folder} is damaged (its checksum differs): the trial goes on from step 60",
    )
    assert second.advance().notes == ()
    assert objectives(to_the_end(second)) == objectives(expected)


def test_what_a_trial_keeps_after_damage_is_not_taken_for_older_than_the_damaged(
    worker: Callable[..., TrialWorker], tmp_path: Path
) -> None:
    first = worker()
    first.begin(task(tmp_path))
    to_the_end(first)
    for path in (tmp_path / "0").glob("*.json"):
        path.write_bytes(b"")
    second = worker()
    second.begin(task(tmp_path))
    told = second.advance()
    assert [note.rpartition(": ")[2] for note in told.notes] == ["the trial goes on from step 0"] * 2
    third = worker()
    third.begin(task(tmp_path))
    assert third.advance().step == told.step == 60
