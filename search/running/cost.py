"""What a search costs before it is run: trials, steps, hours."""

import math
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import torch

from search.evidence.shortlist import most_entries
from search.file.holds import AnySetting, SettingSpec, steps_are_like
from search.file.spec import Budget, SearchSpec
from search.machine.cache_folder import cache_folder
from search.running.measuring import seconds_of_model
from search.running.script import check_command, code_of
from search.running.size import check_memory, size_of
from search.running.slots import Machine, at_once
from spaces import PRESETS
from trainable.threads import on_threads, threads_of
from trainable.training.network_probe import check_network
from trainable.training.trainer import Trainer
from trainable.trial import device_of

_TIMED_STEPS = 30
_TIMED_SECONDS = 0.15  # or one step, if that takes longer


@dataclass(frozen=True)
class CostThere:
    """What another setting costs at most. trials: on fresh seeds. steps: of all of them."""

    trials: int
    steps: int
    steps_per_second: float | None


@dataclass(frozen=True)
class Cost:
    """An upper bound: as if no trial were stopped early.

    replicates, steps: in the search's own setting. elsewhere: what other settings cost, by their names.
    steps_per_second: of one trial, measured here on this machine; None if the data is not at hand, or a step too long.
    operations: floating-point, of a step; None if the data is not at hand. models_measured: whose samples are measured
    when the search is over; seconds_measured: of all of them, one after the other; None if a step was not timed.
    start_steps: of all diffusion models that trials in the search's own setting start from, one for each seed.
    slots: workers. stack: trials that each of them holds, counted as no quicker than one after another.
    """

    trials: int | None
    replicates: int
    elsewhere: dict[str, "CostThere"]
    steps: int | None
    slots: int
    steps_per_second: float | None
    budget: Budget
    operations: float | None = None
    is_script: bool = False
    models_measured: int = 0
    seconds_measured: float | None = None
    start_steps: int = 0
    stack: int | Literal["auto"] = 1

    @property
    def hours(self) -> float | None:
        """Wall-clock hours at most, start-up and the rungs' distances left out; None if unknown."""
        limits = [self.budget.max_hours] if self.budget.max_hours is not None else []
        all_steps = [(self.steps, self.steps_per_second), (self.start_steps, self.steps_per_second)]
        all_steps += [(there.steps, there.steps_per_second) for there in self.elsewhere.values()]
        seconds = [steps / rate for steps, rate in all_steps if steps is not None and rate is not None]
        if len(seconds) == len(all_steps):
            limits.append(sum(seconds) / self.slots / 3600)
        return min(limits) + (self.seconds_measured or 0.0) / 3600 if limits else None

    def to_dict(self) -> dict[str, Any]:
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        elsewhere = {name: asdict(there) for name, there in self.elsewhere.items()}
        return {
            **plain,
            "elsewhere": elsewhere,
            "budget": self.budget.model_dump(),
            "hours_at_most": self.hours,
        }

    def lines(self) -> list[str]:
        """For the screen."""
        trials = "as the time allows" if self.trials is None else str(self.trials)
        steps = "as the time allows" if self.steps is None else f"at most {self.steps:,}"
        text = [
            f"trials: {trials}, and at most {self.replicates} more on fresh seeds: noise between seeds, confirmation",
            f"steps: {steps} ({self._at_a_time})",
            *(
                f"with {name}: at most {there.trials} trials, {there.steps:,} steps"
                for name, there in self.elsewhere.items()
            ),
            *self._start_lines(),
            *self._measuring_lines(),
        ]
        if self.steps_per_second is None and self.operations is not None:
            return [
                *text,
                f"hours: unknown, a step of {self.operations:.0e} operations is too long to be timed here",
            ]
        if self.is_script:
            return [*text, "hours: unknown before the script has run; a limit is budget.max_hours"]
        if self.steps_per_second is None:
            return [*text, "hours: unknown, since the data is not at hand to time a step"]
        if self.hours is None:
            return text
        minutes = self.hours * 60
        time_text = f"{self.hours:.1f} hours" if self.hours >= 2 else f"{minutes:.1f} minutes"
        return [
            *text,
            f"time: at most {time_text} of training at {self.steps_per_second:.0f} steps/s per trial, as timed here; "
            "early stopping and the race save part of it, the start and the distances at the rungs come on top",
        ]

    @property
    def _at_a_time(self) -> str:
        plural = "" if self.slots == 1 else "s"
        if self.stack == 1:
            return f"{self.slots} trial{plural} at a time"
        each = "as many trials each as pay" if self.stack == "auto" else f"up to {self.stack} trials each"
        return f"{self.slots} worker{plural} at a time, {each}"

    def _start_lines(self) -> list[str]:
        if not self.start_steps:
            return []
        return [
            f"diffusion models to start from: at most {self.start_steps:,} steps, one model for each seed"
        ]

    def _measuring_lines(self) -> list[str]:
        if not self.models_measured:
            return []
        seconds = self.seconds_measured
        time_text = "" if seconds is None else f", about {max(1, round(seconds))} s"
        return [f"samples by other measures: of at most {self.models_measured} models{time_text}"]


def cost_of(spec: SearchSpec, *, on_cluster: bool = False) -> Cost:
    """Count the trials and time a few steps. Raises InputError if this machine cannot run one trial.

    on_cluster: where trials are to run: `max_concurrent` at a time, or one; a step is timed here all the same.
    Otherwise raises ValueError too for data or a feature network that a run here would find missing, unless it is
    data that would be downloaded.
    """
    slots = (spec.resources.max_concurrent or 1) if on_cluster else Machine.here().slots(spec)
    stack = 1 if spec.script is not None else spec.resources.stack
    if stack != "auto":
        slots = math.ceil(at_once(spec, slots, stack) / stack)
    rules = spec.confirm.rules
    confirm = spec.noise_floor.seeds if spec.presets else 0
    if rules is not None:
        confirm += min(
            rules.most_trials, (rules.top + min(rules.baselines, len(spec.presets))) * rules.rounds[-1]
        )
    trials = spec.budget.max_trials
    steps_per_second, operations = _speed(spec, on_cluster)
    models = (rules.top + 1) * rules.rounds[-1] if rules is not None and spec.is_measured else 0
    return Cost(
        models_measured=models,
        seconds_measured=None
        if steps_per_second is None
        else models * _seconds_of_model(spec, steps_per_second),
        trials=trials,
        replicates=confirm,
        steps=(trials + confirm) * spec.training.total_steps if trials is not None else None,
        slots=slots,
        elsewhere=_in_settings(spec, steps_per_second, on_cluster),
        steps_per_second=steps_per_second,
        budget=spec.budget,
        operations=operations,
        is_script=spec.script is not None,
        start_steps=_start_steps(spec),
        stack=stack,
    )


def _seconds_of_model(spec: SearchSpec, steps_per_second: float) -> float:
    with on_threads(threads_of(spec.resources.cpu)):
        return seconds_of_model(spec, steps_per_second)


def _start_steps(spec: SearchSpec) -> int:
    """Of a diffusion model for the search's seed, for each of the noise floor and for each of the race."""
    if spec.start is None or spec.start.diffusion is None:
        return 0
    rules = spec.confirm.rules
    fresh = (spec.noise_floor.seeds if spec.presets else 0) + (rules.rounds[-1] if rules is not None else 0)
    return (1 + fresh) * spec.start.diffusion.steps


def _in_settings(spec: SearchSpec, steps_per_second: float | None, on_cluster: bool) -> dict[str, CostThere]:
    """What the settings of `holds_at` cost at most. steps_per_second: in the search's own; longer ones take as long."""
    rules, race = spec.holds_at.rules(spec.all_settings), spec.confirm.rules
    if rules is None or race is None:
        return {}
    trials = {name: rules.most_trials + listed for name, listed in most_entries(rules, race.top).items()}

    def speed(setting: AnySetting) -> float | None:
        if not isinstance(setting, SettingSpec):
            return None
        if steps_are_like(setting, spec.own_setting):
            return steps_per_second
        return _steps_per_second(spec, setting, cache_folder(), on_cluster)[0]

    return {
        setting.name: CostThere(
            trials=trials[setting.name],
            steps=trials[setting.name] * setting.training.total_steps,
            steps_per_second=speed(setting),
        )
        for setting in spec.all_settings
    }


def _speed(spec: SearchSpec, on_cluster: bool) -> tuple[float | None, float | None]:
    """Steps per second of a trial, operations of a step; of a script neither is known before it has run."""
    if spec.script is None:
        return _steps_per_second(spec, spec.own_setting, cache_folder(), on_cluster)
    check_command(spec, code_of(spec), on_cluster=on_cluster)
    return None, None


def _steps_per_second(
    spec: SearchSpec, setting: SettingSpec, cache: Path, on_cluster: bool
) -> tuple[float | None, float | None]:
    """And operations of a step. How large the network is, is worked out before it is built."""
    if not on_cluster:
        setting.extractor.check()
    try:
        images = setting.data.load(cache)
    except ValueError:
        if not on_cluster and not setting.data.downloads(cache):
            raise
        return None, None
    if not on_cluster:
        setting.extractor.check_suits(images.image_shape, images.y_N is not None)
    if setting.network.code is not None:
        check_network(setting.network, images.image_shape, setting.training)
    size = size_of(spec.resources, setting, images.x_NCHW.shape[1:])
    device = torch.device(device_of(spec.resources.gpu))
    if not on_cluster:
        check_memory(size, device)
    if not size.is_quick and device.type == "cpu":
        return None, size.operations
    with on_threads(threads_of(spec.resources.cpu)):
        trainer = Trainer(setting.network, images.x_NCHW, setting.training, device)
        trainer.begin(PRESETS["ict"].schedule, spec.seed, spec.resources.micro_batch)
        total_steps = setting.training.total_steps
        warm_up = min(5, total_steps // 2)
        timed = min(_TIMED_STEPS, total_steps - warm_up)
        start = time.perf_counter()
        trainer.train(warm_up, should_pause=lambda: time.perf_counter() - start > _TIMED_SECONDS / 2)
        begin, first = time.perf_counter(), trainer.step
        trainer.train(first + timed, should_pause=lambda: time.perf_counter() - begin > _TIMED_SECONDS)
        return (trainer.step - first) / (time.perf_counter() - begin), size.operations
