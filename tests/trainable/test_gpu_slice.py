"""A share of a GPU: its cap, what an error means, and a trial that runs out of memory. No GPU is needed."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import trainable.training.step
from spaces import PRESETS
from trainable.extractors._classifier_network import ClassifierNetwork
from trainable.gpu.gpu_slice import (
    CONTEXT_BYTES,
    Card,
    card_is_lost,
    is_out_of_memory,
    take_slice,
    usable_bytes,
)
from trainable.network import NetworkModule
from trainable.task import OUT_OF_MEMORY, Progress, TrialTask
from trainable.trial import TrialWorker

GIB = 2**30


class FakeCard(Card):
    """A card that is not there. limits: what was asked of it."""

    device = "cpu"

    def __init__(self, total_bytes: int = 24 * GIB, there: bool = True):
        self._total, self._there = total_bytes, there
        self.limits: list[float] = []

    def is_there(self) -> bool:
        return self._there

    def total_bytes(self) -> int:
        return self._total

    def limit(self, fraction: float) -> None:
        self.limits.append(fraction)


@pytest.mark.parametrize(
    ("total", "share", "usable"),
    [
        (24 * GIB, 0.25, 6 * GIB - CONTEXT_BYTES),
        (80 * GIB, 0.125, 10 * GIB - CONTEXT_BYTES),
        (24 * GIB, 1.0, 24 * GIB - CONTEXT_BYTES),
        (24 * GIB, 2.0, 24 * GIB - CONTEXT_BYTES),  # a trial trains on one card
    ],
)
def test_tensors_may_take_the_share_less_the_context(total: int, share: float, usable: int) -> None:
    assert usable_bytes(total, share) == usable


@pytest.mark.parametrize("num", [2, 3, 4, 7, 8])
def test_all_slices_of_a_card_and_their_contexts_fit_it(num: int) -> None:
    usable = usable_bytes(24 * GIB, math.floor(1e4 / num) / 1e4)
    assert num * (usable + CONTEXT_BYTES) <= 24 * GIB


def test_a_share_that_the_context_fills_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"`resources.gpu: 0.125` of a card with 6.0 GiB leaves nothing beside"
    ):
        usable_bytes(6 * GIB, 0.125)


def test_a_worker_caps_its_process_at_its_share() -> None:
    card = FakeCard()
    assert take_slice(0.25, card) == "cpu"
    assert card.limits == [pytest.approx(0.25 - CONTEXT_BYTES / (24 * GIB))]


@pytest.mark.parametrize(("share", "there"), [(0.0, True), (0.25, False), (1.0, True)])
def test_without_a_share_a_card_or_a_neighbour_there_is_no_cap(share: float, there: bool) -> None:
    card = FakeCard(there=there)
    assert take_slice(share, card) == "cpu"
    assert card.limits == []


OUT = torch.OutOfMemoryError(
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of ..."
)


@pytest.mark.parametrize(
    ("error", "short", "lost"),
    [
        (OUT, True, False),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be ..."), True, False),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
            True,
            False,
        ),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False, True),
        (torch.AcceleratorError("CUDA error: MPS server is not ready"), False, True),
        (ValueError("The checkpoint is of another trial"), False, False),
        (MemoryError(), False, False),
    ],
)
def test_what_an_error_means(error: Exception, short: bool, lost: bool) -> None:
    assert (is_out_of_memory(error), card_is_lost(error)) == (short, lost)


# --- a trial -----------------------------------------------------------------------------------------------


def task(folder: Path, micro_batch: int | None = None) -> TrialTask:
    return TrialTask(
        number=0,
        schedule=PRESETS["ict"].schedule.to_dict(),
        seed=0,
        rungs=(60, 120),
        folder=str(folder),
        micro_batch=micro_batch,
    )


def memory_for(monkeypatch: pytest.MonkeyPatch, num_images: int, from_step: int) -> None:
    """From that step on there is memory for so many images at once."""
    real, calls = trainable.training.step.accumulate_gradient, iter(range(10**9))

    def tight(*args: object) -> torch.Tensor:
        if next(calls) >= from_step and args[-1] > num_images:  # type: ignore[operator]
            raise OUT
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(trainable.training.step, "accumulate_gradient", tight)


def to_the_end(worker: TrialWorker) -> Progress:
    while (progress := worker.advance()).outcome is None:
        pass
    return progress


def test_out_of_memory_in_the_middle_costs_a_try_and_not_the_result(
    worker: Callable[[], TrialWorker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = worker()
    undisturbed.begin(task(tmp_path / "whole"))
    expected = to_the_end(undisturbed)

    memory_for(monkeypatch, num_images=8, from_step=75)
    tight = worker()
    tight.begin(task(tmp_path / "tight"))
    assert tight.advance().step == 60
    with pytest.raises(torch.OutOfMemoryError) as raised:
        tight.advance()
    answer = tight.out_of_memory(raised.value)
    assert (answer.outcome, answer.step, answer.smaller_micro_batch) == (OUT_OF_MEMORY, 75, 8)
    reason = "oom at step 75 with 16 images at once: CUDA out of memory. Tried to allocate 2.00 GiB"
    assert answer.reason == reason

    tight.begin(task(tmp_path / "tight", micro_batch=8))
    assert tight.advance().step == 60  # from its checkpoint
    found = to_the_end(tight)
    assert found.outcome == "complete"
    for mine, theirs in zip(found.reports, expected.reports, strict=True):
        assert mine["step"] == theirs["step"]
        assert mine["metrics"]["loss"] == pytest.approx(theirs["metrics"]["loss"], rel=1e-3)
        assert mine["objective"] == pytest.approx(theirs["objective"], rel=1e-2)


def test_one_image_at_once_cannot_be_less(
    worker: Callable[[], TrialWorker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory_for(monkeypatch, num_images=0, from_step=0)
    tight = worker()
    tight.begin(task(tmp_path, micro_batch=1))
    with pytest.raises(torch.OutOfMemoryError):
        tight.advance()
    assert tight.out_of_memory(OUT).smaller_micro_batch is None


def test_measuring_takes_as_small_a_share_of_its_images(
    worker: Callable[[], TrialWorker], tmp_path: Path, passes: Callable[[type[nn.Module]], list[int]]
) -> None:
    run = worker()
    run.begin(task(tmp_path, micro_batch=2))
    run.advance()
    *training, _, _, _, _ = trained_and_sampled = passes(NetworkModule)
    assert set(training) == {2}
    assert trained_and_sampled[-4:] == passes(ClassifierNetwork) == [63, 63, 63, 11]
