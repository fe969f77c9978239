"""Trials that train nothing, for the driver's share of the time."""

from collections.abc import Mapping, Sequence
from typing import Any

from ray.tune import Trainable

from bench.speed.toy_reports import toy_reports
from trainable.task import Progress, TrialTask
from trainable.trial import as_result


class NoopTrainable(Trainable):
    """Answers each step with the next rung at once; to the engine it looks like a `ScheduleTrainable`."""

    def setup(self, config: dict[str, Any], objective: str) -> None:  # type: ignore[override]
        self._objective = objective
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._task = TrialTask(**new_config["task"])
        self._done = 0
        return True

    def step(self) -> dict[str, Any]:
        self._done += 1
        return as_result(_progress(self._task, self._done, self._objective))

    def end_trial(self, is_over: bool = False) -> None:
        """Nothing runs on."""

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing to keep."""

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Nothing to load."""


class NoopStack(Trainable):
    """The same of several trials: at each step all are at their next rung. To the engine a `StackTrainable`."""

    def setup(self, config: dict[str, Any], objective: str, stack: int) -> None:  # type: ignore[override]
        self._objective, self._size = objective, stack
        self._tasks: dict[int, TrialTask] = {}
        self._done: dict[int, int] = {}

    def step(self) -> dict[str, Any]:
        news = []
        for number, task in list(self._tasks.items()):
            self._done[number] += 1
            progress = _progress(task, self._done[number], self._objective)
            news.append(as_result(progress))
            if progress.outcome is not None:
                del self._tasks[number]
        return {"stack": news, "returned": [], "size": self._size}

    def exchange(self, tasks: Sequence[Mapping[str, Any]], ended: Sequence[int]) -> None:
        for number in ended:
            self._tasks.pop(number, None)
        for each in tasks:
            task = TrialTask(**each)
            self._tasks[task.number], self._done[task.number] = task, 0

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing to keep."""

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Nothing to load."""


def _progress(task: TrialTask, num_rungs: int, objective: str) -> Progress:
    """Of a trial that is at its rung of that number."""
    steps = task.rungs[:num_rungs]
    return Progress(
        number=task.number,
        step=steps[-1],
        reports=toy_reports(task.number, steps, objective),
        outcome="complete" if num_rungs == len(task.rungs) else None,
    )
