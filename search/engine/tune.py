"""Ray Tune under the conductor: a Searcher that asks it, a TrialScheduler that tells it.

No decision is taken here. Ray Tune places trials on machines and keeps workers alive between them. A trial whose worker
is lost comes back from the conductor as any that waits: Tune's own retry counts one loss twice where a worker is lost
between two trials, and gives up the trial.
"""

import logging
import math
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune import RunConfig, TuneConfig
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from search.engine.ray_lost import RayLost, lost_part, told
from search.engine.shared import AnsweringScheduler, Shared
from search.engine.tune_stacks import Stacks, StackScheduler, StackSearcher
from search.engine.tune_workers import end_trial, forget_results, with_trainable_at_hand
from search.engine.worker_start import WorkerStart
from search.policy.conductor import Conductor
from spaces.plugins import carried
from trainable.command.process import GRACE_SECONDS
from trainable.gpu.gpu_slice import Card
from trainable.ray_trainable import ScheduleTrainable, StackTrainable
from trainable.trial_trainer import TRAINERS, TrialTrainer

# What trials that run on get to end: a step of theirs, and what a script has between SIGTERM and SIGKILL.
_END_SECONDS = GRACE_SECONDS + 5

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Slots:
    """What one worker gets of the machines. micro_batch: images at once, None: the whole batch. stack: trials that it
    holds at once. system_metrics: whether it says what it uses."""

    cpu: float
    gpu: float
    micro_batch: int | None = None
    stack: int = 1
    system_metrics: bool = False


def schedule_trainable(
    settings: Mapping[str, Any],
    slots: Slots,
    max_concurrent: int,
    card: Card | None = None,
    trainer: TrialTrainer | None = None,
) -> Any:
    """The trials of a search as Ray runs them; what they share is sent to each worker once.

    settings: by name, in what they are trained. card: the worker's GPU, None: the one that torch sees there. trainer:
    of the trials, None: our own.
    """
    return tune.with_parameters(
        ScheduleTrainable if slots.stack == 1 else StackTrainable,
        trainer=trainer or TRAINERS.build("consistency"),
        settings=carried(settings),
        cpus=slots.cpu,
        gpus=slots.gpu,
        # A sign of life a second, fewer of many workers: the driver takes in some tens a second.
        pause_seconds=max(1.0, workers_for(max_concurrent, slots.stack) / 20),
        card=card or Card(),
        system_metrics=slots.system_metrics,
        **({} if slots.stack == 1 else {"stack": slots.stack}),
    )


def run_trials(
    conductor: Conductor,
    *,
    trainable: Any,
    slots: Slots,
    trials: str,
    ray_folder: Path,
    interrupted: threading.Event,
    mark: str | None = None,
    runs_on: bool = False,
    on_step: Callable[[int, int], None] = lambda number, step: None,
    on_note: Callable[[str], None] = lambda text: None,
    on_turn: Callable[[], None] = lambda: None,
    worker_start: WorkerStart | None = None,
) -> None:
    """Run trials on the connected Ray until the conductor has finished or `interrupted` is set.

    trainable: a Ray Trainable that takes a `TrialTask` and answers with `Progress`, as `ScheduleTrainable` does; with
    a stack, several of both, as `StackTrainable`.
    trials: location (`trainable/storage/location.py`) of the trials' folders. OperationFailed if a trial cannot use it.
    mark: name of a file in it by which a worker knows that it is the same place there.
    runs_on: whether a trial goes on by itself, and its worker must be told that it ends.
    on_step: called with (trial number, step) at every sign of life of a trial. on_note: with what a worker has to tell
    the user, in one line. on_turn: called whenever it is looked for such signs. worker_start: how long the first worker
    is waited for, None: for ever.

    RayLost where the Ray is our own and was lost: the trials that ran go on when they are run again, on another one.
    """
    shared = Shared(
        conductor,
        trials,
        mark,
        slots.micro_batch,
        interrupted,
        runs_on=runs_on,
        on_step=on_step,
        on_note=on_note,
        on_turn=on_turn,
        worker_start=worker_start or WorkerStart(None),
    )
    num_workers = workers_for(conductor.plan.max_concurrent, slots.stack)
    # Start the workers side by side: by default one starts after the other.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(num_workers)
    stacks = Stacks(shared, num_workers)
    alone = slots.stack == 1
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": slots.cpu, "gpu": slots.gpu}),
        tune_config=TuneConfig(
            search_alg=_Searcher(shared) if alone else StackSearcher(shared, stacks),
            scheduler=ConductedScheduler(shared) if alone else StackScheduler(shared, stacks),
            num_samples=-1,
            reuse_actors=True,
        ),
        run_config=RunConfig(
            name="tune",
            storage_path=str(ray_folder / "results"),
            verbose=0,
            stop=StopWhenFinished(shared),
        ),
    )
    _fit(tuner)
    part = lost_part()
    if part is None and shared.workers is not None:
        if runs_on:
            shared.workers.end_trials(_END_SECONDS)
        shared.workers.free()  # a trial in the middle of a step goes on from its last checkpoint
    if shared.error is not None:
        raise shared.error
    if part is not None:
        raise RayLost(told(part))


def workers_for(max_concurrent: int, stack: int) -> int:
    """How many workers hold so many trials, `stack` each."""
    return math.ceil(max_concurrent / stack)


def _fit(tuner: tune.Tuner) -> None:
    """Run Tune's loop until it is left, or its Ray is lost."""
    try:
        with with_trainable_at_hand():
            tuner.fit()
    except LeaveTune:
        pass
    except Exception as error:
        if lost_part() is None:
            raise
        _log.warning("Tune met the loss of its Ray: %s", error)


class _Searcher(Searcher):
    def __init__(self, shared: Shared):
        super().__init__(metric=None, mode=None)
        self._shared = shared

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        shared = self._shared
        try:
            if shared.over:
                return Searcher.FINISHED
            if not shared.has_room:
                return None
            record = shared.conductor.next()
            if record is None:
                return Searcher.FINISHED if shared.conductor.finished else None
        except Exception as error:
            shared.error = error
            return Searcher.FINISHED
        shared.number_of[trial_id] = record.number
        shared.worker_start.begin()
        return {"task": vars(shared.task_of(record))}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: the scheduler has told the conductor."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        number = self._shared.number_of.pop(trial_id, None)
        if not error or number is None or self._shared.over:
            return
        try:
            _log.warning("trial %d lost its worker", number)
            if self._shared.workers is not None:
                self._shared.workers.free_idle()  # they may be lost with it, as those of a machine are
            self._shared.conductor.lost(number)
            self._shared.lost_worker()
        except Exception as problem:
            self._shared.error = problem

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, likewise."""


class ConductedScheduler(AnsweringScheduler):
    """One trial of the search is one of Tune's."""

    def hear(self, trial: Any, result: dict[str, Any]) -> bool:
        return self.shared.hear(self.shared.number_of[trial.trial_id], result)

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """With the first trial, have Tune keep the workers of all slots."""
        is_first = self.shared.workers is None
        super().on_trial_add(tune_controller, trial)
        if is_first and self.shared.workers is not None:
            self.shared.workers.keep(trial, self.shared.conductor.plan.max_concurrent)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        if self.shared.runs_on:
            end_trial(trial)
        forget_results(trial)


class LeaveTune(BaseException):
    """Leaves Tune's loop at once.

    Its own way out waits up to ten seconds for workers in the middle of a step, and lists all trials once more.
    """


class StopWhenFinished(Stopper):
    def __init__(self, shared: Shared):
        self._shared = shared

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        self._shared.look()
        if self._shared.over or self._shared.conductor.finished:
            raise LeaveTune
        return False
