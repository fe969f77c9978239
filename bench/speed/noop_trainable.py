"""A trial that trains nothing, for the driver's share of the time."""

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
        steps = self._task.rungs[: self._done]
        return as_result(
            Progress(
                number=self._task.number,
                step=steps[-1],
                reports=toy_reports(self._task.number, steps, self._objective),
                outcome="complete" if self._done == len(self._task.rungs) else None,
            )
        )

    def end_trial(self, is_over: bool = False) -> None:
        """Nothing runs on."""

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing to keep."""

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Nothing to load."""
