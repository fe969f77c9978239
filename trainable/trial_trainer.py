"""What a trainer is: how the trials of a search are trained, by our own loop or by something else."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from spaces.registry import STRICT, Registry
from trainable.gpu.gpu_slice import Card
from trainable.task import Progress, TrialTask

if TYPE_CHECKING:
    from trainable.stack.worker import StackWorker


@dataclass(frozen=True, kw_only=True)
class Slice:
    """What one worker has of its machine: CPUs, the share of a card."""

    cpus: float
    gpus: float
    card: Card


class Worker(Protocol):
    """Runs trials one after another in one setting, on one slice."""

    setting: Any

    def begin(self, task: TrialTask) -> None:
        """Make `task` the current trial, from where it was left, if it was. Raises StorageError."""

    def advance(self, pause_seconds: float) -> Progress:
        """Go on to the next rung, or for about `pause_seconds`. What is reported is kept."""

    def end(self, *, is_over: bool = False) -> None:
        """The current trial does not go on here. What would go on by itself is ended. is_over: nor elsewhere."""

    def out_of_memory(self, error: BaseException) -> Progress:
        """The answer for the current trial where memory was not enough."""


@dataclass(frozen=True, kw_only=True)
class TrialTrainer(ABC):
    """Base of `trainable/trainers/`: the fields are what a search file may set.

    RUNS_ON: whether a trial goes on by itself while the driver decides on it, and must be told that it ends. PATHS:
    fields with a path, relative to the search file.
    """

    __pydantic_config__ = STRICT
    RUNS_ON: ClassVar[bool] = False
    PATHS: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def worker(self, setting: Any, share: Slice) -> Worker:
        """A worker for trials of that setting."""

    def stack_worker(self, settings: Mapping[str, Any], share: Slice, size: int) -> "StackWorker":
        """A worker for so many trials at once, of those settings by name. ValueError where it cannot be."""
        raise ValueError(
            f"the trainer {type(self).__name__} trains one trial at a time: leave out `resources.stack`"
        )

    @abstractmethod
    def whole_pass(self, setting: Any) -> int:
        """How many images go through the network at once, where a trial has no `micro_batch`."""


TRAINERS: Registry[TrialTrainer] = Registry("trainable.trainers", TrialTrainer, "trainer")  # type: ignore[type-abstract]
