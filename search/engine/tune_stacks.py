"""Ray Tune where each worker holds several trials: a Tune trial is then a worker that lives as long as the search.

Tune places and starts these workers, tells of those that are lost, and asks each for its next result. One result has
the news of all trials of a worker; what they are answered, who ends and who comes, reaches the worker before Tune asks
it again, because Ray runs the calls of one caller in their order.
"""

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from ray.tune.search import Searcher

from search.engine.shared import AnsweringScheduler, Shared
from search.record import TrialRecord
from trainable.task import TrialTask

# A trial that was there when so many workers were lost runs without neighbours, who might be lost for it.
_ALONE_AFTER = 2
# A worker leaves new trials to one that has fewer by more than this: where few are left, they spread.
_FULLER = 2

_log = logging.getLogger(__name__)


class Answer(NamedTuple):
    """What a worker is to do next. ended: numbers of trials that do not go on there."""

    tasks: list[TrialTask]
    ended: list[int]


class Stacks:
    """Which trials are in which worker. num_workers: that the search may have."""

    def __init__(self, shared: Shared, num_workers: int):
        self._shared, self._num_workers = shared, num_workers
        self._members: dict[str, set[int]] = {}  # by Tune's trial id
        self._room: dict[str, int] = {}  # of those that were heard
        self._losses: Counter[int] = Counter()
        self._suspects: list[TrialRecord] = []  # that are to run alone, and for which no worker is empty yet

    @property
    def has_room(self) -> bool:
        """Whether one more worker may be started."""
        return len(self._members) < self._num_workers

    def begin(self, worker: str) -> None:
        """It was asked for. Trials come to it when it is there."""
        self._members[worker] = set()

    def hear(self, worker: str, result: dict[str, Any]) -> Answer:
        """Take in a result of `StackTrainable`. Raises what the search ends with."""
        members, ended = self._members[worker], []
        for progress in result["stack"]:
            if self._shared.hear(progress["number"], progress):
                ended.append(progress["number"])
        for number in result["returned"]:
            self._shared.conductor.returned(number)
            ended.append(number)
        if result["returned"]:
            trials = "trial" if result["size"] == 1 else "trials"
            self._shared.on_note(
                f"the GPU's memory is enough for {result['size']} {trials} at once, not for more"
            )
        members.difference_update(ended)
        self._room[worker] = result["size"] - len(members)
        tasks = []
        while (record := self._next(worker)) is not None:
            members.add(record.number)
            self._room[worker] -= 1
            tasks.append(self._shared.task_of(record))
        return Answer(tasks, ended)

    def lost(self, worker: str) -> None:
        """All its trials go on from their checkpoints, somewhere."""
        members = sorted(self._members.pop(worker, ()))
        self._room.pop(worker, None)
        self._losses.update(members)
        if members:
            _log.warning("trials %s lost their worker", ", ".join(map(str, members)))
        for number in members:
            self._shared.conductor.lost(number)
        self._shared.lost_worker()

    def _next(self, worker: str) -> TrialRecord | None:
        members = self._members[worker]
        if self._room[worker] <= 0 or self._is_fuller(worker) or any(map(self._is_suspect, members)):
            return None
        if self._suspects:
            return self._suspects.pop(0) if not members else None
        record = self._shared.conductor.next()
        if record is not None and self._is_suspect(record.number) and members:
            self._suspects.append(record)
            return None
        return record

    def _is_suspect(self, number: int) -> bool:
        return self._losses[number] >= _ALONE_AFTER

    def _is_fuller(self, worker: str) -> bool:
        mine = len(self._members[worker])
        return any(
            room > 0 and mine > len(self._members[other]) + _FULLER for other, room in self._room.items()
        )


class StackSearcher(Searcher):
    """Has Tune start the workers, at once: which trials they will hold is told when they are there."""

    def __init__(self, shared: Shared, stacks: Stacks):
        super().__init__(metric=None, mode=None)
        self._shared, self._stacks = shared, stacks

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        if self._shared.over:
            return Searcher.FINISHED
        if not self._stacks.has_room:
            return None
        self._stacks.begin(trial_id)
        self._shared.worker_start.begin()
        return {"worker": trial_id}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: the scheduler has told the conductor."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        if not error or self._shared.over:
            return
        try:
            self._stacks.lost(trial_id)
        except Exception as problem:
            self._shared.error = problem

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, likewise."""


def _send(trial: Any, answer: Answer) -> None:
    tasks = [vars(task) for task in answer.tasks]
    trial.temporary_state.ray_actor.exchange.remote(tasks, answer.ended)


class StackScheduler(AnsweringScheduler):
    """Answers each result of a worker. send: how an answer reaches the worker of Tune's trial."""

    def __init__(self, shared: Shared, stacks: Stacks, send: Callable[[Any, Answer], None] = _send):
        super().__init__(shared)
        self._stacks, self._send = stacks, send

    def hear(self, trial: Any, result: dict[str, Any]) -> bool:
        answer = self._stacks.hear(trial.trial_id, result)
        if answer.tasks or answer.ended:
            self._send(trial, answer)
        return False
