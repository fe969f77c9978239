"""The trial as a Ray Tune Trainable: the only file here that knows Ray.

One actor serves many trials (`reuse_actors`): Ray calls `reset_config` instead of starting a process.
Ray's own checkpoints are not used. The worker keeps checkpoints keyed by trial number, and both a retry
after a lost worker and a later `run` of the same search begin from them.
"""

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from ray.tune import Trainable

from trainable.gpu.gpu_slice import Card, card_is_lost, is_out_of_memory
from trainable.slot_use import SlotUse
from trainable.task import Progress, TrialTask
from trainable.threads import threads_of
from trainable.trial import as_result, failed, out_of_memory
from trainable.trial_trainer import Slice, TrialTrainer, Worker

_IDLE_SECONDS = 0.1


class _SlotTrainable(Trainable):
    """An actor that holds a slot. What it trains keeps its checkpoints itself."""

    def setup(  # type: ignore[override]
        self,
        config: dict[str, Any],
        *,
        trainer: TrialTrainer,
        settings: Mapping[str, Any],
        cpus: float,
        gpus: float,
        pause_seconds: float,
        card: Card,
        system_metrics: bool = False,
    ) -> None:
        """settings: by name, in what trials are trained, as `trainer` takes them. gpus: the share of `card` that this
        actor holds. pause_seconds: a step of Ray's lasts at most about so long; then it reports how far trials are.
        system_metrics: whether reports say what the slot uses.
        """
        # Ctrl-C in a terminal reaches the whole process group; the driver decides what is stopped.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        torch.set_num_threads(threads_of(cpus))
        self._trainer, self._settings, self._pause_seconds = trainer, settings, pause_seconds
        self._slice = Slice(cpus=cpus, gpus=gpus, card=card)
        self._use = SlotUse(cpus, gpus, card) if system_metrics else None

    def _with_use(self, news: Sequence[Progress]) -> Sequence[Progress]:
        """What trials have to tell, with what their slot has used where that is wanted."""
        if self._use is not None:
            self._use.note(news)
        return news

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: it is kept already."""

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Nothing: a trial that begins has loaded it."""


class ScheduleTrainable(_SlotTrainable):
    """Ray's view of a `Worker`. The trial's config is `{"task": TrialTask as a dict}`."""

    def setup(self, config: dict[str, Any], **shared: Any) -> None:
        """Begin the first trial. Errors are kept for the report. A worker lives until a trial has another setting."""
        super().setup(config, **shared)
        self._worker: Worker | None = None
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin the next trial. An error is kept for the report: raised here, Ray would retry the actor."""
        self._task = TrialTask(**new_config["task"])
        if self._use is not None:
            self._use.begin()
        self._failure = self._guarded(self._begin)
        return True

    def _begin(self) -> None:
        if self._worker is not None and self._worker.setting is not self._setting:
            self._worker.end()
            self._worker = None
            self._slice.card.release()
        if self._worker is None:  # at first, and where its card had no room for it so far
            self._worker = self._trainer.worker(self._setting, self._slice)
        self._worker.begin(self._task)

    @property
    def _setting(self) -> Any:
        return self._settings[self._task.setting]

    def step(self) -> dict[str, Any]:
        """Train to the next rung, or for `pause_seconds`. Errors are results: the search goes on."""
        progress = self._failure or self._guarded(self._advance)
        assert progress is not None
        return as_result(progress)

    def _advance(self) -> Progress:
        assert self._worker is not None
        (progress,) = self._with_use([self._worker.advance(self._pause_seconds)])
        return progress

    def _guarded(self, work: Callable[[], Progress | None]) -> Progress | None:
        """What `work` returns, or the answer for a trial that raised. Raises only what asks for another process."""
        try:
            return work()
        except Exception as error:
            if card_is_lost(error):
                raise  # Ray starts another worker, which goes on from the checkpoint
            if not is_out_of_memory(error):
                failure = failed(self._task, error)
            elif self._worker is not None:
                failure = self._worker.out_of_memory(error)
            else:
                at_once = self._task.micro_batch or self._trainer.whole_pass(self._setting)
                failure = out_of_memory(self._task, error, at_once)
        # Not before the error is gone: its traceback holds the tensors of the step that failed.
        self.end_trial()
        self._slice.card.release()
        return failure

    def end_trial(self, is_over: bool = False) -> None:
        """The trial does not go on here, and the next one is not known yet. is_over: nor does it elsewhere."""
        if self._worker is not None:
            self._worker.end(is_over=is_over)


class StackTrainable(_SlotTrainable):
    """Ray's view of a `StackWorker`. Its trials come and go by `exchange`, between two steps."""

    def setup(  # type: ignore[override]
        self, config: dict[str, Any], *, stack: int, **shared: Any
    ) -> None:
        """stack: trials that it holds at once."""
        super().setup(config, **shared)
        self._worker = self._trainer.stack_worker(self._settings, self._slice, stack)
        self._is_new = True
        self._error: Exception | None = None  # of `exchange`

    def step(self) -> dict[str, Any]:
        """Train until a trial has something to tell. stack: of each that has. returned: trials that have no room."""
        if self._error is not None:
            raise self._error  # Ray starts another worker
        if not self._is_new and self._worker.is_idle:
            time.sleep(_IDLE_SECONDS)  # the driver has nothing to do for it now
        self._is_new = False
        news = self._with_use(self._worker.advance(self._pause_seconds))
        return {
            "stack": [as_result(progress) for progress in news],
            "returned": self._worker.take_returned(),
            "size": self._worker.size,
        }

    def exchange(self, tasks: Sequence[Mapping[str, Any]], ended: Sequence[int]) -> None:
        """Trials that come, and numbers of those that do not go on here. Nobody asks how it went: `step` raises."""
        try:
            self._worker.drop(ended)
            self._worker.take([TrialTask(**task) for task in tasks])
        except Exception as error:
            self._error = error
