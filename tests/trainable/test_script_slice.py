"""What a script is told of its slice."""

import pytest

from trainable.command import slice as slice_module
from trainable.command.slice import environment_of
from trainable.gpu.gpu_slice import Card
from trainable.trial_trainer import Slice


class FakeCard(Card):
    """A card of 80 GiB."""

    def is_there(self) -> bool:
        return True

    def total_bytes(self) -> int:
        return 80 * 2**30


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked of the card in a process of its own is asked here."""
    monkeypatch.setattr(slice_module, "in_own_process", lambda asked: asked())


def test_without_a_card_it_sees_none_and_has_the_threads_of_its_cpus() -> None:
    found = environment_of(Slice(cpus=2.5, gpus=0, card=FakeCard()))
    assert found["CUDA_VISIBLE_DEVICES"] == ""
    assert {found[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")} == {"2"}
    assert environment_of(Slice(cpus=0.5, gpus=0, card=FakeCard()))["OMP_NUM_THREADS"] == "1"


def test_a_share_of_a_card_has_a_share_of_its_memory_and_the_card_that_ray_shows() -> None:
    found = environment_of(Slice(cpus=1, gpus=0.25, card=FakeCard()))
    assert "CUDA_VISIBLE_DEVICES" not in found  # Ray has set it for the worker
    assert 0.1 < float(found["SCHEDULE_SEARCH_GPU_FRACTION"]) < 0.25  # less what CUDA itself takes
    whole = environment_of(Slice(cpus=1, gpus=1, card=FakeCard()))
    assert whole["SCHEDULE_SEARCH_GPU_FRACTION"] == "1"
