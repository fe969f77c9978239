"""One trial at a time on one device: train to the next rung, measure, checkpoint, report.

Engine-neutral: Ray (`ray_trainable.py`), benchmarks and tests drive the same `TrialWorker`. It lives for a
whole search and holds all that trials share (images, reference statistics, feature network, training step);
`begin` swaps schedule, weights and seed.
"""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from spaces import NoiseSchedule
from trainable.assets import Assets, FrechetMetric
from trainable.atomic import write_atomically
from trainable.checkpoint import load_checkpoint, save_checkpoint
from trainable.images import sample_grid_png
from trainable.network import Network
from trainable.training import Trainer, TrainingConfig

# Diverged trials get this objective: finite, so that stopping rules and samplers can compare it
# (Ray's `nan < cutoff` is False), and worse than any real Frechet distance.
WORST_OBJECTIVE = 1e9

# Between rungs a trial is checkpointed as often as costs 1 % of its time, at least every minute: what an
# interruption or a lost machine costs at most.
CHECKPOINT_SHARE = 0.01
CHECKPOINT_SECONDS = 60.0

FOUND_FILE = "found_schedule.json"
_GRID_IMAGES = 64


@dataclass(frozen=True, kw_only=True)
class TrialTask:
    """What the driver sends to a worker: plain data.

    rungs: steps at which to measure and report, increasing, the last is the full budget K.
    folder: where the trial's checkpoints and sample grid are kept, keyed by its number.
    """

    number: int
    schedule: dict[str, Any]
    seed: int
    rungs: tuple[int, ...]
    folder: str


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What a worker answers: all reports so far (a driver that missed some finds them here).

    outcome: None while the trial can go on, else "complete", "diverged" or "failed" with its reason.
    found_schedule: of an adaptive trial, the schedule with fixed probabilities that it had come to at the last
    report, as `NoiseSchedule.to_dict` gives it; None for static schedules and before the first report.
    """

    number: int
    step: int
    reports: list[dict[str, Any]]
    outcome: str | None = None
    reason: str | None = None
    found_schedule: dict[str, Any] | None = None


class TrialWorker:
    """Runs trials one after another.

    num_samples: images per Frechet distance. clock: wall-clock seconds, for report times.
    """

    def __init__(
        self,
        assets: Assets,
        network: Network,
        training: TrainingConfig,
        num_samples: int,
        device: str = "cpu",
        clock: Callable[[], float] = time.time,
    ):
        self._objective = assets.objective
        self._metric = FrechetMetric(assets, num_samples, device)
        self._num_samples = num_samples
        self._trainer = Trainer(network, assets.images_NCHW, training, device)
        self._clock = clock

    def begin(self, task: TrialTask) -> None:
        """Make `task` the current trial, from its last good checkpoint where there is one."""
        self._task = task
        self._folder = Path(task.folder)
        self._reports: list[dict[str, Any]] = []
        self._found: dict[str, Any] | None = None
        self._train_seconds = 0.0
        self._saved_step, self._save_at = 0, 0.0
        self._schedule = NoiseSchedule.from_dict(task.schedule)
        self._trainer.begin(self._schedule, task.seed)
        found = load_checkpoint(self._folder)
        # Reports that reached the checkpoint but perhaps not the driver are sent before any training.
        self._replay = found is not None
        if found is not None:
            self._saved_step, tensors, state = found
            self._trainer.load_state_dict(tensors, state["trainer"])
            self._reports = state["reports"]
            self._found = state["found_schedule"]
            self._train_seconds = state["train_seconds"]

    def advance(self, pause_seconds: float = math.inf) -> Progress:
        """Train until the next rung is measured, or for about `pause_seconds`.

        Checkpoints when a rung is measured, before it is reported, and now and then in between.
        """
        if self._replay:
            self._replay = False
            return self._progress()
        rung = next((step for step in self._task.rungs if step > self._last_reported), None)
        if rung is None:
            return self._progress()
        start = time.monotonic()
        loss = self._trainer.train(rung, should_pause=lambda: time.monotonic() - start > pause_seconds)
        self._train_seconds += time.monotonic() - start
        if not math.isfinite(loss):
            self._report({self._objective: WORST_OBJECTIVE}, rung)
            self._saved_step = self._trainer.step  # spoilt weights are not saved
            return self._progress(diverged=True)
        diverged = False
        if self._trainer.step == rung:
            diverged = self._measure(loss, rung)
        if self._trainer.step == rung or time.monotonic() > self._save_at:
            self.checkpoint()
        return self._progress(diverged)

    @property
    def _last_reported(self) -> int:
        return self._reports[-1]["step"] if self._reports else 0

    def _measure(self, loss: float, rung: int) -> bool:
        samples_NCHW = self._trainer.sample(self._num_samples, seed=self._task.seed)
        distance = self._metric(samples_NCHW)
        diverged = not math.isfinite(distance)
        if diverged:
            distance = WORST_OBJECTIVE
        else:
            write_atomically(self._folder / "samples.png", sample_grid_png(samples_NCHW, _GRID_IMAGES))
            self._keep_found()
        self._report({self._objective: distance, "loss": loss, "train_seconds": self._train_seconds}, rung)
        return diverged

    def _keep_found(self) -> None:
        """What an adaptive schedule has come to goes into found_schedule.json, from which it can be exported."""
        found = self._trainer.found_schedule()
        if found != self._schedule:
            text = json.dumps(found.to_dict(), indent=1)
            self._found = json.loads(text)
            write_atomically(self._folder / FOUND_FILE, text.encode())

    def _report(self, metrics: Mapping[str, float], step: int) -> None:
        self._reports.append(
            {
                "step": step,
                "objective": metrics[self._objective],
                "time_ms": int(self._clock() * 1000),
                "metrics": dict(metrics),
            }
        )

    def checkpoint(self) -> None:
        """Save the current trial, if it has moved since it was saved."""
        if self._trainer.step == self._saved_step:
            return
        start = time.monotonic()
        tensors, scalars = self._trainer.state_dict()
        state = {
            "trainer": scalars,
            "reports": self._reports,
            "train_seconds": self._train_seconds,
            "found_schedule": self._found,
        }
        save_checkpoint(self._folder, self._trainer.step, tensors, state)
        self._saved_step, now = self._trainer.step, time.monotonic()
        self._save_at = now + min((now - start) / CHECKPOINT_SHARE, CHECKPOINT_SECONDS)

    def _progress(self, diverged: bool = False) -> Progress:
        # A diverged trial is recognised by its value, so that a replay says so too.
        diverged = diverged or bool(self._reports and self._reports[-1]["objective"] >= WORST_OBJECTIVE)
        complete = self._last_reported == self._task.rungs[-1]
        outcome = "diverged" if diverged else "complete" if complete else None
        return Progress(
            number=self._task.number,
            step=self._trainer.step,
            reports=list(self._reports),
            outcome=outcome,
            found_schedule=self._found,
        )


def failed(task: TrialTask, error: BaseException) -> Progress:
    """The answer for a trial that raised: its kind and first line, never a traceback."""
    message = str(error).strip().partition("\n")[0]
    reason = f"{type(error).__name__}: {message}"
    return Progress(number=task.number, step=0, reports=[], outcome="failed", reason=reason)


def as_result(progress: Progress) -> dict[str, Any]:
    """Plain values for the way through Ray."""
    return asdict(progress)


def device_of(num_gpus: float) -> str:
    """The device of a slice: the one card that Ray made visible, or the CPU."""
    return "cuda" if num_gpus > 0 and torch.cuda.is_available() else "cpu"
