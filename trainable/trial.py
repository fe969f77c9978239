"""One trial at a time on one device: train to the next rung, measure, checkpoint, report.

Engine-neutral: Ray (`ray_trainable.py`), benchmarks and tests drive the same `TrialWorker`. It lives for a
whole search and holds all that trials share (images, reference statistics, feature network, training step);
`begin` swaps schedule, weights and seed.
"""

import json
import math
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from spaces import NoiseSchedule
from trainable.background import Background
from trainable.metric.assets import BATCH_SIZE, FrechetMetric
from trainable.metric.images import sample_grid_png
from trainable.setting import Setting
from trainable.start.diffusion import DiffusionTraining, location_of_start
from trainable.start.weights import DiffusionStart, FileStart
from trainable.storage.checkpoint import load_checkpoint, packed, remove_checkpoint, save_checkpoint
from trainable.storage.folder import StorageError
from trainable.storage.location import open_folder
from trainable.storage.mark import check_mark
from trainable.task import (
    FOUND_FILE,
    NO_STORAGE,
    OUT_OF_MEMORY,
    SAMPLES_FILE,
    WORST_OBJECTIVE,
    Progress,
    TrialTask,
)
from trainable.training.finished import ema_metric
from trainable.training.trainer import Trainer

# Between rungs a trial is checkpointed as often as costs 1 % of its time, at least every minute: what an
# interruption or a lost machine costs at most. A bucket, where requests cost money, gets one a minute, which is
# uploaded behind the training.
CHECKPOINT_SHARE = 0.01
CHECKPOINT_SECONDS = 60.0
# How long a trial waits for a storage that does not answer. Then the search stops, to go on when it is back.
STORAGE_PATIENCE_SECONDS = 600.0

_GRID_IMAGES = 64


class TrialWorker:
    """Runs trials one after another.

    setting: in what they are trained. clock: wall-clock seconds, for report times. trainer, metric: to be used; None:
    its own.
    """

    def __init__(
        self,
        setting: Setting,
        device: str = "cpu",
        clock: Callable[[], float] = time.time,
        *,
        trainer: Trainer | None = None,
        metric: FrechetMetric | None = None,
    ):
        self.setting = setting
        self._objective = setting.assets.objective
        self._metric = metric or FrechetMetric(setting.assets, setting.num_samples, device)
        self._trainer = trainer or Trainer(
            setting.network, setting.assets.images_NCHW, setting.training, device
        )
        self._trainer.sigma_start = setting.sigma_start
        self._device = device
        self._start: DiffusionTraining | None = None  # until the trial has its first weights
        self._clock = clock
        self._upload = Background("checkpoint")
        self._marked_bucket: str | None = None  # in which the search's mark was found

    def begin(self, task: TrialTask) -> None:
        """Make `task` the current trial, from its last good checkpoint where there is one.

        Raises StorageError where the folder is not the driver's: what is kept there would go with this machine.
        """
        self._upload.forget()
        self._end_start()
        self._task = task
        self._check_mark(task)
        self._folder = open_folder(task.folder, patience_seconds=STORAGE_PATIENCE_SECONDS)
        self._files: dict[str, bytes] = {}  # to be kept with the next checkpoint
        self._reports: list[dict[str, Any]] = []
        self._train_seconds = 0.0
        self._saved_step = 0
        self._save_at = time.monotonic() + CHECKPOINT_SECONDS if self._folder.is_remote else 0.0
        self._schedule = NoiseSchedule.from_dict(task.schedule)
        self._trainer.begin(self._schedule, task.seed, task.micro_batch)
        self._damaged: dict[int, str] = {}
        found = load_checkpoint(self._folder, self._damaged.__setitem__)
        go_on = f"the trial goes on from step {found[0] if found is not None else 0}"
        self._notes = tuple(f"{text}: {go_on}" for text in self._damaged.values())
        # Reports that reached the checkpoint but perhaps not the driver are sent before any training.
        self._replay = found is not None
        if found is None:
            self._begin_start(task)
        else:
            self._saved_step, tensors, state = found
            self._trainer.load_state_dict(tensors, state["trainer"])
            self._reports = state["reports"]
            self._train_seconds = state["train_seconds"]

    def _begin_start(self, task: TrialTask) -> None:
        """Where the setting has weights to start from, have them, or what trains them."""
        setting, start = self.setting, self.setting.start
        if isinstance(start, FileStart):
            self._trainer.start_from(start.tensors)
        elif isinstance(start, DiffusionStart):
            location = location_of_start(task.search_location or task.folder, task.setting, task.seed)
            self._start = DiffusionTraining.of(
                open_folder(location, patience_seconds=STORAGE_PATIENCE_SECONDS),
                setting.network,
                setting.assets.images_NCHW,
                setting.training,
                start.steps,
                self._device,
            )

    def has_started(self, pause_seconds: float) -> bool:
        """Whether the trial has its first weights; else what they come from is trained for about `pause_seconds`."""
        if self._start is None:
            return True
        weights = self._start.weights(self._task.seed, self._task.micro_batch, pause_seconds)
        if weights is None:
            return False
        self._trainer.start_from(weights)
        self._start = None
        return True

    @property
    def is_started(self) -> bool:
        """Whether it has its first weights."""
        return self._start is None

    def _end_start(self) -> None:
        """Let another worker train what its trials start from."""
        if self._start is not None:
            self._start.close()
            self._start = None

    def _check_mark(self, task: TrialTask) -> None:
        if task.mark is None or task.search_location is None or task.search_location == self._marked_bucket:
            return
        folder = open_folder(task.search_location, patience_seconds=STORAGE_PATIENCE_SECONDS)
        check_mark(folder, task.mark)
        # A local folder is checked for each trial: it costs nothing, and its mount may be lost.
        if folder.is_remote:
            self._marked_bucket = task.search_location

    def advance(self, pause_seconds: float = math.inf) -> Progress:
        """Train until the next rung is measured, or for about `pause_seconds`.

        Checkpoints when a rung is measured, before it is reported, and now and then in between. Raises StorageError
        if the checkpoint cannot be kept: what is reported is in the storage.
        """
        rung = self.next_rung
        if rung is None or not self.has_started(pause_seconds):
            return self.progress()
        self.trained(rung, *self.train(rung, pause_seconds))
        return self.progress()

    def train(self, rung: int, pause_seconds: float) -> tuple[float, float]:
        """Train to `rung`, or for about `pause_seconds`: the mean loss, and how many seconds it took."""
        start = time.monotonic()
        loss = self._trainer.train(rung, should_pause=lambda: time.monotonic() - start > pause_seconds)
        return loss, time.monotonic() - start

    @property
    def next_rung(self) -> int | None:
        """The step to which it is trained next; None where it has something to report before."""
        if self._replay:
            return None
        return next((step for step in self._task.rungs if step > self._last_reported), None)

    def trained(self, rung: int, loss: float, seconds: float) -> bool:
        """It was trained, to `rung` or not so far, at that mean loss, in so many seconds. Whether it has reported."""
        self._train_seconds += seconds
        before = len(self._reports)
        if not math.isfinite(loss):
            self._report({self._objective: WORST_OBJECTIVE}, rung)
            self._saved_step = self._trainer.step  # spoilt weights are not saved
            self._upload.forget()  # nothing may arrive after the driver has cleared up
        elif self._trainer.step == rung:
            self._measure(loss, rung)
            self.checkpoint()
        elif time.monotonic() > self._save_at and not self._upload.busy:
            self._begin_checkpoint()
        return len(self._reports) > before

    @property
    def _last_reported(self) -> int:
        return self._reports[-1]["step"] if self._reports else 0

    def _measure(self, loss: float, rung: int) -> None:
        training = self.setting.training
        samples_NCHW, distance = self._sampled(training.ema_horizon)
        averages = {training.ema_horizon: distance}
        for horizon in training.other_ema_horizons:
            others_NCHW, averages[horizon] = self._sampled(horizon)
            if training.best_ema and averages[horizon] < distance:
                samples_NCHW, distance = others_NCHW, averages[horizon]
        if math.isfinite(distance):
            self._files[SAMPLES_FILE] = sample_grid_png(samples_NCHW, _GRID_IMAGES)
            self._keep_found_schedule()
        else:
            distance = WORST_OBJECTIVE
        metrics = {self._objective: distance, "loss": loss, "train_seconds": self._train_seconds}
        if training.other_ema_horizons:
            metrics |= {
                ema_metric(self._objective, horizon): min(value, WORST_OBJECTIVE)
                for horizon, value in averages.items()
            }
        self._report(metrics, rung)

    def _sampled(self, horizon: float) -> tuple[Tensor, float]:
        """Samples from the average with this horizon, and their distance; inf where one is not finite."""
        with self._trainer.average_over(horizon):
            samples_NCHW = self._trainer.sample(self.setting.num_samples, seed=self._task.seed)
        return samples_NCHW, self._metric(samples_NCHW, self._trainer.part_of(BATCH_SIZE))

    def _keep_found_schedule(self) -> None:
        """What an adaptive schedule has come to goes into a file, from which it can be exported."""
        found = self._trainer.found_schedule()
        if found != self._schedule:
            self._files[FOUND_FILE] = json.dumps(found.to_dict(), indent=1).encode()

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
        """Save the current trial, if it has moved since it was saved; it is safe when this returns."""
        self._begin_checkpoint()
        self._upload.join()

    def _begin_checkpoint(self) -> None:
        """Save the current trial as it is now; in a bucket, behind the training."""
        if self._trainer.step == self._saved_step:
            return
        start = time.monotonic()
        tensors, scalars = self._trainer.state_dict()
        state = {
            "trainer": scalars,
            "reports": list(self._reports),
            "train_seconds": self._train_seconds,
        }
        folder, files, self._files = self._folder, self._files, {}
        damaged, self._damaged = self._damaged, {}
        step, tensor_bytes = self._trainer.step, packed(tensors)

        def save() -> None:
            for name, data in files.items():
                folder.write(name, data)
            for older in damaged:
                remove_checkpoint(folder, older)
            save_checkpoint(folder, step, tensor_bytes, state)

        if folder.is_remote:
            self._upload.start(save)
            pause = CHECKPOINT_SECONDS
        else:
            save()
            pause = min((time.monotonic() - start) / CHECKPOINT_SHARE, CHECKPOINT_SECONDS)
        self._saved_step = step
        self._save_at = time.monotonic() + pause

    def progress(self) -> Progress:
        """How far it is, with all its reports; what is noted is told once."""
        self._replay = False
        # A diverged trial is recognised by its value, so that a replay says so too.
        diverged = bool(self._reports) and self._reports[-1]["objective"] >= WORST_OBJECTIVE
        complete = self._last_reported == self._task.rungs[-1]
        outcome = "diverged" if diverged else "complete" if complete else None
        notes, self._notes = self._notes, ()
        return Progress(
            number=self._task.number,
            step=self._trainer.step,
            reports=list(self._reports),
            outcome=outcome,
            notes=notes,
        )

    def end(self, *, is_over: bool = False) -> None:
        """Let another worker train what the trials start from; else, without `advance` nothing goes on."""
        self._end_start()

    def out_of_memory(self, error: BaseException) -> Progress:
        """The answer for the current trial where the GPU's memory was not enough."""
        return out_of_memory(
            self._task, error, self._trainer.micro_batch, step=self._trainer.step, reports=list(self._reports)
        )


def out_of_memory(
    task: TrialTask,
    error: BaseException,
    at_once: int,
    *,
    step: int = 0,
    reports: Sequence[dict[str, Any]] = (),
) -> Progress:
    """The answer for a trial for which the GPU's memory was not enough. at_once: images that went through together."""
    # "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ...": what follows is a page.
    sentences = " ".join(str(error).split()).split(". ")
    what = ". ".join(sentences[:2])[:200]
    return Progress(
        number=task.number,
        step=step,
        reports=list(reports),
        outcome=OUT_OF_MEMORY,
        reason=f"{OUT_OF_MEMORY} at step {step} with {at_once} images at once: {what}",
        smaller_micro_batch=math.ceil(at_once / 2) if at_once > 1 else None,
    )


def failed(task: TrialTask, error: BaseException) -> Progress:
    """The answer for a trial that raised: its kind and first line, never a traceback."""
    message = str(error).strip().partition("\n")[0]
    if isinstance(error, StorageError):
        where = f"on {socket.gethostname()}: {message}."
        return Progress(number=task.number, step=0, reports=[], outcome=NO_STORAGE, reason=where)
    reason = f"{type(error).__name__}: {message}"
    return Progress(number=task.number, step=0, reports=[], outcome="failed", reason=reason)


def as_result(progress: Progress) -> dict[str, Any]:
    """Plain values for the way through Ray."""
    return asdict(progress)


def device_of(num_gpus: float) -> str:
    """The device of a slice: the one card that Ray made visible, or the CPU."""
    return "cuda" if num_gpus > 0 and torch.cuda.is_available() else "cpu"
