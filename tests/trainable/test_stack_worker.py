"""Several trials in one worker: each is reported, kept, resumed and stopped by itself."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from spaces import PRESETS, NoiseSchedule
from trainable.gpu.gpu_slice import Card
from trainable.metric.assets import Assets
from trainable.network import NETWORKS
from trainable.setting import Setting
from trainable.stack.worker import StackWorker
from trainable.start.diffusion import DiffusionTraining
from trainable.start.weights import DiffusionStart
from trainable.storage.folder import StorageError
from trainable.task import NO_STORAGE, OUT_OF_MEMORY, OWN, Progress, TrialTask
from trainable.training import accumulation, step
from trainable.training.config import TrainingConfig
from trainable.training.trainer import Trainer
from trainable.trial import TrialWorker

SCHEDULES = [preset.schedule.to_dict() for preset in PRESETS.values()]
RUNGS = (30, 60)


class NoCard(Card):
    def release(self) -> None:
        pass


def task(folder: Path, number: int, **others: Any) -> TrialTask:
    return TrialTask(
        **{
            "number": number,
            "schedule": SCHEDULES[number % len(SCHEDULES)],
            "seed": number,
            "rungs": RUNGS,
            "folder": str(folder / str(number)),
            **others,
        }
    )


@pytest.fixture
def settings(digits_assets: Assets) -> dict[str, Setting]:
    training = TrainingConfig(total_steps=60, batch_size=16)
    film_mlp = NETWORKS.build({"name": "film_mlp", "width": 16, "depth": 1})
    unet = NETWORKS.build({"name": "small_unet", "channels": [4]})
    return {
        OWN: Setting(digits_assets, film_mlp, training, num_samples=100),
        "elsewhere": Setting(digits_assets, unet, training, num_samples=100),
    }


@pytest.fixture
def stacked(settings: dict[str, Setting]) -> Callable[..., StackWorker]:
    def make(size: int = 4) -> StackWorker:
        return StackWorker(settings, size=size, card=NoCard(), clock=lambda: 1e9)

    return make


def until_over(worker: StackWorker) -> Iterator[Progress]:
    """All that is told until no trial is there."""
    while worker.room < worker.size:
        yield from worker.advance(math.inf)


def last(told: Sequence[Progress]) -> dict[int, Progress]:
    return {progress.number: progress for progress in told}


def alone(setting: Setting, one: TrialTask) -> Progress:
    worker = TrialWorker(setting, clock=lambda: 1e9)
    worker.begin(one)
    while (progress := worker.advance()).outcome is None:
        pass
    return progress


def values(progress: Progress) -> list[tuple[int, float, float]]:
    return [(each["step"], each["objective"], each["metrics"]["loss"]) for each in progress.reports]


def test_each_trial_is_measured_as_it_is_alone(
    stacked: Callable[..., StackWorker], settings: dict[str, Setting], tmp_path: Path
) -> None:
    worker = stacked()
    worker.take([task(tmp_path / "stack", number) for number in range(3)])
    told = list(until_over(worker))
    assert [len(progress.reports) for progress in told] == [1, 1, 1, 2, 2, 2]
    for number, progress in last(told).items():
        assert progress.outcome == "complete"
        expected = alone(settings[OWN], task(tmp_path / "alone", number))
        assert values(progress) == values(expected)


def test_a_place_is_refilled_and_a_stopped_trial_leaves(
    stacked: Callable[..., StackWorker], settings: dict[str, Setting], tmp_path: Path
) -> None:
    worker = stacked(size=2)
    worker.take([task(tmp_path, 0), task(tmp_path, 1)])
    assert {progress.number for progress in worker.advance(math.inf)} == {0, 1}
    worker.drop([0])
    assert worker.room == 1
    worker.take([task(tmp_path, 2)])
    told = last(list(until_over(worker)))
    assert told.keys() == {1, 2}
    assert values(told[2]) == values(alone(settings[OWN], task(tmp_path / "alone", 2)))


def test_a_trial_goes_on_alone_and_in_a_stack_from_one_checkpoint(
    stacked: Callable[..., StackWorker], settings: dict[str, Setting], tmp_path: Path
) -> None:
    worker = stacked()
    worker.take([task(tmp_path, 0), task(tmp_path, 1)])
    worker.advance(math.inf)
    single = TrialWorker(settings[OWN], clock=lambda: 1e9)  # as after the worker was lost
    single.begin(task(tmp_path, 0))
    assert [report["step"] for report in single.advance().reports] == [30]
    assert single.advance().outcome == "complete"
    again = stacked()
    again.take([task(tmp_path, 0), task(tmp_path, 1)])
    replayed = last(again.advance(math.inf))  # before anything is trained
    assert (replayed[0].outcome, replayed[1].step) == ("complete", 30)
    told = last(list(until_over(again)))
    for number, progress in ((0, replayed[0]), (1, told[1])):
        assert values(progress) == values(alone(settings[OWN], task(tmp_path / "alone", number)))


def test_at_a_pause_all_tell_how_far_they_are(stacked: Callable[..., StackWorker], tmp_path: Path) -> None:
    worker = stacked()
    worker.take([task(tmp_path, 0), task(tmp_path, 1)])
    told = worker.advance(-1.0)
    assert [(progress.step, progress.reports) for progress in told] == [(1, []), (1, [])]


def test_trials_of_another_setting_take_turns(
    stacked: Callable[..., StackWorker], settings: dict[str, Setting], tmp_path: Path
) -> None:
    worker = stacked()
    elsewhere = [task(tmp_path, number, setting="elsewhere") for number in (1, 2)]
    worker.take([task(tmp_path, 0), *elsewhere, task(tmp_path, 3, micro_batch=4)])
    told = last(list(until_over(worker)))
    assert all(progress.outcome == "complete" for progress in told.values()) and len(told) == 4
    expected = alone(settings["elsewhere"], task(tmp_path / "alone", 2, setting="elsewhere"))
    assert values(told[2]) == values(expected)


def test_what_goes_wrong_with_one_trial_is_its_own(
    stacked: Callable[..., StackWorker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = TrialWorker.trained

    def spoilt(worker: TrialWorker, rung: int, loss: float, seconds: float) -> bool:
        number = worker.progress().number
        if number == 1:
            raise RuntimeError("what nobody expects")
        return real(worker, rung, math.nan if number == 2 else loss, seconds)

    monkeypatch.setattr(TrialWorker, "trained", spoilt)
    worker = stacked()
    worker.take([task(tmp_path, number) for number in range(3)] + [task(tmp_path, 3, schedule={})])
    told = last(list(until_over(worker)))
    assert {number: progress.outcome for number, progress in told.items()} == {
        **{0: "complete", 1: "failed", 2: "diverged", 3: "failed"},
    }
    assert told[1].reason == "RuntimeError: what nobody expects"


def test_a_storage_that_keeps_nothing_is_told(
    stacked: Callable[..., StackWorker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(worker: TrialWorker) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(TrialWorker, "checkpoint", full)
    worker = stacked()
    worker.take([task(tmp_path, 0), task(tmp_path, 1)])
    assert {progress.outcome for progress in worker.advance(math.inf)} == {NO_STORAGE}


@pytest.fixture
def tight(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """A device on which more images than that at once, of all trials together, are too many."""

    def limit(images: int) -> None:
        def checked(network: Any, x_BCHW: torch.Tensor, *rest: Any) -> torch.Tensor:
            at_once = min(rest[-1], x_BCHW.shape[-4])
            if at_once * x_BCHW.shape[:-4].numel() > images:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB.")
            return accumulation.accumulate_gradient(network, x_BCHW, *rest)

        monkeypatch.setattr(step, "accumulate_gradient", checked)

    return limit


def test_where_memory_is_short_the_stack_is_halved_and_then_a_batch(
    stacked: Callable[..., StackWorker],
    settings: dict[str, Setting],
    tight: Callable[[int], None],
    tmp_path: Path,
) -> None:
    tight(16)
    worker = stacked(size=4)
    worker.take([task(tmp_path, number) for number in range(4)])
    told: list[Progress] = []
    sizes = [worker.size]
    while worker.room < worker.size:
        told += worker.advance(math.inf)
        sizes += [worker.size] if worker.size != sizes[-1] else []
    assert sizes == [4, 2, 1]
    assert worker.take_returned() == [2, 3, 1] and worker.take_returned() == []
    assert last(told)[0].outcome == "complete"
    assert values(last(told)[0]) == values(alone(settings[OWN], task(tmp_path / "alone", 0)))
    tight(8)
    worker.take([task(tmp_path, 1)])
    (answer,) = until_over(worker)
    assert (answer.outcome, answer.smaller_micro_batch) == (OUT_OF_MEMORY, 8)
    worker.take([task(tmp_path, 1, micro_batch=8)])
    assert last(list(until_over(worker)))[1].outcome == "complete"


def test_a_trial_that_spoils_a_step_of_all_fails_alone(
    stacked: Callable[..., StackWorker],
    settings: dict[str, Setting],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begin, before_step = Trainer.begin, Trainer.before_step
    seeds: dict[Trainer, int] = {}

    def begun(trainer: Trainer, schedule: NoiseSchedule, seed: int, *rest: Any) -> None:
        seeds[trainer] = seed
        begin(trainer, schedule, seed, *rest)

    def before(trainer: Trainer) -> None:
        if trainer.step == 40 and seeds[trainer] == 1:
            raise RuntimeError("a law that ends here")
        before_step(trainer)

    expected = {n: values(alone(settings[OWN], task(tmp_path / "alone", n))) for n in (0, 2)}
    monkeypatch.setattr(Trainer, "before_step", before)
    monkeypatch.setattr(Trainer, "begin", begun)
    worker = stacked()
    worker.take([task(tmp_path, number) for number in range(3)])
    told = last(list(until_over(worker)))
    assert {n: progress.outcome for n, progress in told.items()} == {
        0: "complete",
        1: "failed",
        2: "complete",
    }
    assert told[1].reason == "RuntimeError: a law that ends here"
    assert {n: values(told[n]) for n in (0, 2)} == expected


def test_what_is_over_is_told_though_the_stack_is_halved(
    stacked: Callable[..., StackWorker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, was_short = TrialWorker.trained, []

    def trained(worker: TrialWorker, rung: int, loss: float, seconds: float) -> bool:
        number = worker.progress().number
        if number == 0:
            raise RuntimeError("what nobody expects")
        if number == 2 and not was_short:
            was_short.append(number)
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB.")
        return real(worker, rung, loss, seconds)

    monkeypatch.setattr(TrialWorker, "trained", trained)
    worker = stacked(size=3)
    worker.take([task(tmp_path, number) for number in range(3)])
    told = last(list(until_over(worker)))
    assert {number: progress.outcome for number, progress in told.items()} == {0: "failed", 1: "complete"}
    assert worker.take_returned() == [2]


def test_a_card_that_is_lost_asks_for_another_process(
    stacked: Callable[..., StackWorker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any) -> torch.Tensor:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(step, "accumulate_gradient", broken)
    worker = stacked()
    worker.take([task(tmp_path, 0)])
    with pytest.raises(torch.AcceleratorError):
        worker.advance(math.inf)


def test_trials_of_a_stack_start_from_one_diffusion_model_of_each_seed(
    settings: dict[str, Setting], tmp_path: Path
) -> None:
    started = {name: replace(setting, start=DiffusionStart(steps=20)) for name, setting in settings.items()}
    tasks = [task(tmp_path, number, seed=number % 2, search_location=str(tmp_path)) for number in range(4)]
    worker = StackWorker(started, size=4, card=NoCard(), clock=lambda: 1e9)
    worker.take(tasks)
    told = []
    while worker.room < worker.size:
        told += worker.advance(0.01)
    for number, progress in last(told).items():
        other = replace(tasks[number], folder=str(tmp_path / "alone" / str(number)))
        assert values(progress) == values(alone(started[OWN], other))
    assert sorted(path.name for path in (tmp_path / "starts").iterdir()) == ["00000", "00001"]


def test_a_start_that_diverges_fails_its_own_trials_only(
    settings: dict[str, Setting], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = DiffusionTraining.weights

    def spoilt(self: DiffusionTraining, seed: int, *rest: Any) -> Any:
        if seed == 1:
            raise ValueError("diverged")
        return whole(self, seed, *rest)

    monkeypatch.setattr(DiffusionTraining, "weights", spoilt)
    started = {name: replace(setting, start=DiffusionStart(steps=20)) for name, setting in settings.items()}
    worker = StackWorker(started, size=4, card=NoCard(), clock=lambda: 1e9)
    worker.take([task(tmp_path, number, search_location=str(tmp_path)) for number in range(3)])
    outcomes = {number: progress.outcome for number, progress in last(list(until_over(worker))).items()}
    assert outcomes == {0: "complete", 1: "failed", 2: "complete"}


def test_trials_with_several_averages_take_turns(settings: dict[str, Setting], tmp_path: Path) -> None:
    setting = settings[OWN]
    several = replace(setting, training=replace(setting.training, other_ema_horizons=(0.0,)))
    worker = StackWorker({OWN: several}, size=2, card=NoCard(), clock=lambda: 1e9)
    worker.take([task(tmp_path, 0), task(tmp_path, 1)])
    found = last(list(until_over(worker)))
    for number, progress in found.items():
        assert any(name.endswith("_ema0") for name in progress.reports[-1]["metrics"])
        assert values(progress) == values(alone(several, task(tmp_path / "alone", number)))
