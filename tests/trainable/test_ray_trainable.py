"""What a worker answers to Ray when a trial raises. No Ray is started."""

import weakref
from collections.abc import Callable

import pytest
import torch

from trainable import ray_trainable
from trainable.gpu.gpu_slice import Card, take_slice
from trainable.ray_trainable import ScheduleTrainable
from trainable.setting import Setting
from trainable.task import OWN, Progress, TrialTask
from trainable.trainers.consistency import Consistency
from trainable.training.config import TrainingConfig
from trainable.trial_trainer import Slice

TASK = {"number": 3, "schedule": {}, "seed": 0, "rungs": (10,), "folder": "nowhere"}
COMPLETE = Progress(number=3, step=10, reports=[], outcome="complete")


class Worker:
    """A TrialWorker that does what it is told."""

    def __init__(self, setting: object, begin: Callable[[], None], advance: Callable[[], Progress]):
        self.setting, self._begin, self._advance = setting, begin, advance
        self.num_ended = 0

    def begin(self, task: TrialTask) -> None:
        self._begin()

    def advance(self, pause_seconds: float) -> Progress:
        return self._advance()

    def end(self, *, is_over: bool = False) -> None:
        self.num_ended += 1

    def out_of_memory(self, error: BaseException) -> Progress:
        return Progress(number=3, step=5, reports=[], outcome="oom", smaller_micro_batch=8)


class WatchedCard(Card):
    """Remembers what was still held when it was to be released."""

    def __init__(self) -> None:
        self.held: list[bool] = []
        self.tensor: weakref.ref[torch.Tensor] | None = None

    def release(self) -> None:
        super().release()
        self.held.append(self.tensor is not None and self.tensor() is not None)


def raising(kind: type[Exception], text: str, card: WatchedCard) -> Callable[[], Progress]:
    def work() -> Progress:
        activations = torch.zeros(1000)
        card.tensor = weakref.ref(activations)
        raise kind(text)

    return work


def once(work: Callable[[], object]) -> Callable[[], None]:
    """Does it when called first, and nothing later."""
    left = [work]

    def do() -> None:
        if left:
            left.pop()()

    return do


SetUp = Callable[..., ScheduleTrainable]


@pytest.fixture
def set_up(monkeypatch: pytest.MonkeyPatch) -> SetUp:
    """A trainable that is set up as Ray does it, with a worker that is told what to do when it is built and later."""
    # Its constructor wants Ray, `setup` a process of its own.
    monkeypatch.setattr(ray_trainable.signal, "signal", lambda *args: None)
    monkeypatch.setattr(torch, "set_num_threads", lambda number: None)

    def make(
        card: Card,
        build: Callable[[], object] = lambda: None,
        begin: Callable[[], object] = lambda: None,
        advance: Callable[[], Progress] = lambda: COMPLETE,
        system_metrics: bool = False,
    ) -> ScheduleTrainable:
        class Trainer(Consistency):
            def worker(self, setting: Setting, share: Slice) -> Worker:
                take_slice(share.gpus, share.card)
                build()
                return Worker(setting, begin, advance)

        trainable = ScheduleTrainable.__new__(ScheduleTrainable)
        training = TrainingConfig(total_steps=10, batch_size=16)
        settings = {OWN: Setting(None, None, training, 50)}
        trainable.setup(
            {"task": TASK},
            trainer=Trainer(),
            settings=settings,
            cpus=1,
            gpus=0.5,
            pause_seconds=1.0,
            card=card,
            system_metrics=system_metrics,
        )
        return trainable

    return make


def test_out_of_memory_is_told_when_its_tensors_are_gone(set_up: SetUp) -> None:
    card = WatchedCard()
    trainable = set_up(card, advance=raising(torch.OutOfMemoryError, "CUDA out of memory.", card))
    answer = trainable.step()
    assert (answer["outcome"], answer["smaller_micro_batch"]) == ("oom", 8)
    assert card.held == [False]


def test_an_error_at_the_beginning_is_told_at_the_first_step(set_up: SetUp) -> None:
    card = WatchedCard()
    trainable = set_up(card, begin=once(raising(ValueError, "of another trial", card)))
    answer = trainable.step()
    assert (answer["outcome"], answer["reason"]) == ("failed", "ValueError: of another trial")
    assert card.held == [False]
    assert trainable.reset_config({"task": TASK})
    assert trainable.step()["outcome"] == "complete"


def test_out_of_memory_while_a_worker_is_made_is_told_and_the_next_trial_makes_it_anew(
    set_up: SetUp,
) -> None:
    card = WatchedCard()
    out = raising(torch.OutOfMemoryError, "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 ...", card)
    trainable = set_up(card, build=once(out))
    answer = trainable.step()
    assert (answer["outcome"], answer["smaller_micro_batch"]) == ("oom", 8)
    assert answer["reason"].startswith("oom at step 0 with 16 images at once: CUDA out of memory. Tried")
    assert card.held == [False]
    trainable.reset_config({"task": TASK})
    assert trainable.step()["outcome"] == "complete"


def test_a_card_that_is_too_small_fails_its_trials_with_the_reason(set_up: SetUp) -> None:
    class Small(WatchedCard):
        def is_there(self) -> bool:
            return True

        def total_bytes(self) -> int:
            return 2**30

    answer = set_up(Small()).step()
    assert answer["outcome"] == "failed"
    assert "leaves nothing beside the CUDA context" in answer["reason"]


def test_a_card_that_is_lost_to_the_process_ends_it(set_up: SetUp) -> None:
    card = WatchedCard()
    text = "CUDA error: an illegal memory access was encountered"
    trainable = set_up(card, advance=raising(RuntimeError, text, card))
    with pytest.raises(RuntimeError, match="illegal memory access"):
        trainable.step()


@pytest.mark.parametrize("wanted", [False, True])
def test_a_report_says_what_the_slot_uses_where_that_is_wanted(wanted: bool, set_up: SetUp) -> None:
    def advance() -> Progress:
        report = {"step": 10, "objective": 1.0, "time_ms": 2**53, "metrics": {"fd": 1.0}}
        return Progress(number=3, step=10, reports=[report])

    (report,) = set_up(WatchedCard(), advance=advance, system_metrics=wanted).step()["reports"]
    assert ("system/cpu_utilization_percentage" in report["metrics"]) is wanted
    assert report["metrics"]["fd"] == 1.0
