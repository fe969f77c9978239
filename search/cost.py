"""What a search costs before it is run: trials, steps, hours."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from search.conductor import CONFIRMED_BASELINES
from search.runner import CACHE, Machine
from search.spec import SearchSpec
from spaces import PRESETS
from trainable.training import Trainer
from trainable.trial import device_of

_TIMED_STEPS = 60


@dataclass(frozen=True)
class Cost:
    """An upper bound: as if no trial were stopped early.

    steps_per_second: of one trial, measured here on this machine; None if the data is not at hand.
    """

    trials: int
    confirm_trials: int
    steps: int
    slots: int
    steps_per_second: float | None

    @property
    def hours(self) -> float | None:
        """Wall-clock hours at most, start-up and measuring left out."""
        if self.steps_per_second is None:
            return None
        return self.steps / (self.steps_per_second * self.slots) / 3600

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "hours_at_most": self.hours}

    def lines(self) -> list[str]:
        """For the screen."""
        text = [
            f"trials: {self.trials}, and at most {self.confirm_trials} to confirm the winner on fresh seeds",
            f"steps: at most {self.steps:,} ({self.slots} trials at a time)",
        ]
        if self.hours is None:
            return [*text, "hours: unknown, since the data is not at hand to time a step"]
        minutes = self.hours * 60
        time_text = f"{self.hours:.1f} hours" if self.hours >= 2 else f"{minutes:.1f} minutes"
        return [
            *text,
            f"time: at most {time_text} at {self.steps_per_second:.0f} steps/s per trial, as timed here; "
            "early stopping saves part of it",
        ]


def cost_of(spec: SearchSpec, cache: Path = CACHE) -> Cost:
    """Count the trials and time a few steps. Raises InputError if this machine cannot run one trial."""
    slots = Machine.here().slots(spec)
    baselines = min(CONFIRMED_BASELINES, len(spec.presets))
    confirm = (spec.confirm.top + baselines) * spec.confirm.seeds if spec.confirm.top else 0
    total = spec.budget.max_trials + confirm
    return Cost(
        trials=spec.budget.max_trials,
        confirm_trials=confirm,
        steps=total * spec.training.total_steps,
        slots=slots,
        steps_per_second=_steps_per_second(spec, cache),
    )


def _steps_per_second(spec: SearchSpec, cache: Path) -> float | None:
    try:
        images = spec.data.load(cache)
    except ValueError:
        return None
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, int(spec.resources.cpu)))
    try:
        device = device_of(spec.resources.gpu)
        trainer = Trainer(spec.network, images.x_NCHW, spec.training, device)
        trainer.begin(PRESETS["ict"].schedule, spec.seed)
        warm_up = min(10, spec.training.total_steps // 2)
        timed = min(_TIMED_STEPS, spec.training.total_steps - warm_up)
        trainer.train(warm_up)
        start = time.perf_counter()
        trainer.train(warm_up + timed)
        return timed / (time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
