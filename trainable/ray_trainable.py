"""The trial as a Ray Tune Trainable: the only file here that knows Ray.

One actor serves many trials (`reuse_actors`): Ray calls `reset_config` instead of starting a process.
Ray's own checkpoints are not used. The worker keeps checkpoints keyed by trial number, and both a retry
after a lost worker and a later `run` of the same search begin from them.
"""

import signal
from typing import Any

import torch
from ray.tune import Trainable

from trainable.assets import Assets
from trainable.network import Network
from trainable.training import TrainingConfig
from trainable.trial import TrialTask, TrialWorker, as_result, device_of, failed


class ScheduleTrainable(Trainable):
    """Ray's view of a `TrialWorker`. The trial's config is `{"task": TrialTask as a dict}`."""

    def setup(  # type: ignore[override]
        self,
        config: dict[str, Any],
        assets: Assets,
        network: Network,
        training: TrainingConfig,
        num_samples: int,
        cpus: float,
        gpus: float,
        pause_seconds: float,
    ) -> None:
        """Build the worker once for the life of the actor, then begin the first trial.

        pause_seconds: a step of Ray's lasts at most about so long; then it reports how far the trial is.
        """
        # Ctrl-C in a terminal reaches the whole process group; the driver decides what is stopped.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        torch.set_num_threads(max(1, int(cpus)))
        self._pause_seconds = pause_seconds
        self._worker = TrialWorker(assets, network, training, num_samples, device_of(gpus))
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin the next trial. An error is kept for the report: raised here, Ray would retry the actor."""
        self._task = TrialTask(**new_config["task"])
        self._error: Exception | None = None
        try:
            self._worker.begin(self._task)
        except Exception as error:
            self._error = error
        return True

    def step(self) -> dict[str, Any]:
        """Train to the next rung, or for `pause_seconds`. Errors are results: the search goes on."""
        if self._error is None:
            try:
                return as_result(self._worker.advance(self._pause_seconds))
            except Exception as error:
                self._error = error
        return as_result(failed(self._task, self._error))

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: the worker has checkpointed already."""

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Nothing: `begin` has loaded it."""
