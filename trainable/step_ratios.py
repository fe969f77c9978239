"""How long a training step takes in some settings, beside one another: what else the machine does cancels."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from spaces import PRESETS
from trainable.setting import Setting
from trainable.threads import on_threads
from trainable.training.trainer import Trainer

_ROUNDS, _SECONDS = 3, 0.08  # in each round of each setting
_WARM_UP = 2  # steps


def step_ratios(
    own: Setting,
    others: Mapping[str, Setting],
    should_end: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.thread_time,
) -> dict[str, float]:
    """By name, seconds of a step there, in those of a step of `own`; nothing where it should end before.

    On one thread of the CPU, by the time that this thread computes. About a third of a second for each setting.
    """
    with on_threads(1):
        return _ratios({"": own, **others}, should_end, clock)


def _ratios(
    settings: Mapping[str, Setting], should_end: Callable[[], bool], clock: Callable[[], float]
) -> dict[str, float]:
    """To the first of the settings."""
    trainers: dict[str, Trainer] = {}
    seconds: dict[str, list[float]] = {name: [] for name in settings}
    for name in [*settings] * (1 + _ROUNDS):
        if should_end():
            return {}
        if name not in trainers:
            trainers[name] = _begun(settings[name])
        else:
            seconds[name].append(_seconds_of_step(trainers[name], clock))
    own, *others = settings
    return {
        name: statistics.median(there / here for there, here in zip(seconds[name], seconds[own], strict=True))
        for name in others
    }


def _begun(setting: Setting) -> Trainer:
    config = replace(setting.training, cuda_graph=False)
    trainer = Trainer(setting.network, setting.assets.images_NCHW, config)
    trainer.begin(PRESETS["ict"].schedule, seed=0)
    trainer.train(min(_WARM_UP, trainer.total_steps - 1))
    return trainer


def _seconds_of_step(trainer: Trainer, clock: Callable[[], float]) -> float:
    if trainer.step == trainer.total_steps:
        trainer.begin(PRESETS["ict"].schedule, seed=0)
    start, first = clock(), trainer.step
    trainer.train(trainer.total_steps, should_pause=lambda: clock() - start >= _SECONDS)
    return (clock() - start) / (trainer.step - first)
