"""Ray's view of a worker that holds several trials, without Ray."""

import signal
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from trainable.gpu.gpu_slice import Card
from trainable.ray_trainable import StackTrainable
from trainable.task import TrialTask


class LostCard:
    """A worker whose card is lost when it gets its first trial."""

    is_idle = False

    def drop(self, numbers: Sequence[int]) -> None:
        """Nothing is here."""

    def take(self, tasks: Sequence[TrialTask]) -> None:
        raise torch.AcceleratorError("CUDA error: unspecified launch failure")

    def advance(self, pause_seconds: float) -> list[Any]:
        raise AssertionError("it has nothing to train with")


def test_a_card_that_is_lost_while_trials_come_ends_the_worker_at_its_next_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    trainable = StackTrainable.__new__(StackTrainable)
    trainer = SimpleNamespace(stack_worker=lambda *_: LostCard())
    slot = {"settings": {}, "cpus": 1.0, "gpus": 0.0, "pause_seconds": 1.0, "card": Card()}
    trainable.setup({}, stack=2, trainer=trainer, **slot)
    trainable.exchange([], [])
    with pytest.raises(torch.AcceleratorError, match="unspecified launch failure"):
        trainable.step()
