"""What Ray Tune's callbacks of one search share: the conductor, and who else is told."""

import threading
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from ray.tune.schedulers import TrialScheduler

from search.engine.ray_lost import lost_part
from search.engine.tune_workers import TuneWorkers
from search.engine.worker_start import WorkerStart
from search.errors import OperationFailed
from search.policy.conductor import Conductor
from search.record import Report, TrialRecord
from search.study.trial_storage import TrialStorage
from trainable.task import NO_STORAGE, TrialTask

# So many more than there are slots: a trial that ends each of its workers fails after four.
_MOST_LOST = 12


class Shared:
    """What the adapters share. Pickles as nothing: Tune saves its state, and we never read it."""

    def __init__(
        self,
        conductor: Conductor,
        trials: str,
        mark: str | None,
        micro_batch: int | None,
        interrupted: threading.Event,
        *,
        runs_on: bool,
        on_step: Callable[[int, int], None],
        on_note: Callable[[str], None],
        on_turn: Callable[[], None],
        worker_start: WorkerStart,
    ):
        self.conductor = conductor
        self.trials = trials
        self.mark = mark
        self.micro_batch = micro_batch
        self.interrupted = interrupted
        self.runs_on = runs_on
        self.on_step = on_step
        self.on_note = on_note
        self.on_turn = on_turn
        self.worker_start = worker_start
        self.number_of: dict[str, int] = {}  # Tune's trial id -> trial number
        self.workers: TuneWorkers | None = None  # Tune's, once it has a trial
        self._lost_in_a_row = 0  # workers, since one has answered
        # An error of ours in a callback of Tune's would come out wrapped in a page of text.
        self.error: Exception | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return (_nothing, ())

    @property
    def has_room(self) -> bool:
        """Whether one more trial finds a worker, or a slot without one."""
        return self.workers is None or self.workers.counts().have_room(self.conductor.plan.max_concurrent)

    def look(self) -> None:
        """Once in a turn of Tune's loop: tell that we listen, and see whether there is somebody to listen to."""
        self.on_turn()
        try:
            self.worker_start.check()
        except OperationFailed as error:
            self.error = self.error or error

    def task_of(self, record: TrialRecord) -> TrialTask:
        """The trial as a worker is given it."""
        return TrialTask(
            number=record.number,
            schedule=record.schedule.to_dict(),
            seed=record.seed,
            rungs=self.conductor.plan.rungs_of(record),
            folder=TrialStorage(self.trials).location_of(record.number),
            micro_batch=record.micro_batch or self.micro_batch,
            setting=record.setting,
            search_location=self.trials,
            mark=self.mark,
        )

    def hear(self, number: int, result: dict[str, Any]) -> bool:
        """Take in what a worker says of a trial, a `Progress` as a dict; True if the trial ends here."""
        for note in result["notes"]:
            self.on_note(f"trial {number}: {note}")
        if result["outcome"] == NO_STORAGE:
            raise OperationFailed(
                f"trial {number} cannot keep its checkpoints, {result['reason']} Nothing that was reported is "
                "lost: the same command goes on where this stopped"
            )
        over = self.conductor.observe(
            number,
            result["step"],
            [Report(**report) for report in result["reports"]],
            result["outcome"],
            result["reason"],
            result["smaller_micro_batch"],
        )
        self.on_step(number, result["step"])
        return over

    def heard(self) -> None:
        """A worker has answered."""
        self.worker_start.heard()
        self._lost_in_a_row = 0

    def lost_worker(self) -> None:
        """A worker was lost. OperationFailed where so many are in a row that the next would be lost too."""
        self._lost_in_a_row += 1
        if self._lost_in_a_row > _MOST_LOST + self.conductor.plan.max_concurrent:
            raise OperationFailed(
                f"{self._lost_in_a_row} workers in a row were lost before one of them had anything to tell. What ended "
                "them stands in Ray's logs. When it is mended, the same command goes on"
            )

    @property
    def over(self) -> bool:
        return self.interrupted.is_set() or self.error is not None or lost_part() is not None


def _nothing() -> None:
    return None


class AnsweringScheduler(TrialScheduler):
    """Answers each result of one of Tune's trials; the conductor decides all else."""

    _supports_buffered_results = False

    def __init__(self, shared: Shared):
        super().__init__()
        self.shared = shared

    @abstractmethod
    def hear(self, trial: Any, result: dict[str, Any]) -> bool:
        """Take in a result of Tune's `trial`; True if that ends here."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if self.shared.over:
            return TrialScheduler.STOP
        self.shared.heard()
        try:
            is_over = self.hear(trial, result)
        except Exception as error:
            self.shared.error = error
            return TrialScheduler.STOP
        return TrialScheduler.STOP if is_over else TrialScheduler.CONTINUE

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        if self.shared.workers is None:
            self.shared.workers = TuneWorkers.seen_by_scheduler(tune_controller)

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """None: Tune starts pending trials in their order, and a search through all of them costs time."""
        return None

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Nothing: a retry follows, or the searcher hears of the end."""

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Nothing: only the end of the search ends its worker."""

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """Nothing: the conductor decided it."""

    def debug_string(self) -> str:
        return ""
