"""Trials that are trained together against as many trained one after another, in turns, on one core."""

import itertools
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from bench.figures import table
from bench.speed.step import ICT, in_turns
from search.file.spec import SearchSpec, load_spec
from search.machine.cache_folder import cache_folder
from spaces import PRESETS
from trainable.metric.assets import Assets, prepare
from trainable.network import NETWORKS, Network
from trainable.setting import Setting
from trainable.stack.stack import Stack
from trainable.stack.worker import StackWorker
from trainable.task import OWN, TrialTask
from trainable.training.trainer import Trainer
from trainable.trial import TrialWorker

_STEPS = 64  # of all trials together, in each turn
_PAIRS = 20
SCHEDULES = [preset.schedule for preset in PRESETS.values()]


def training(spec: SearchSpec, network: Network, assets: Assets, size: int, num_pairs: int) -> list[str]:
    """A row: steps of one trial a second alone and in a stack of `size`."""
    stack = Stack(network, assets.images_NCHW, spec.training, size=size)
    alone = [Trainer(network, assets.images_NCHW, spec.training) for _ in range(size)]
    for place in range(size):
        for trainer in (stack.trainer(place), alone[place]):
            trainer.begin(SCHEDULES[place % len(SCHEDULES)], place)
    num_steps = max(2, _STEPS // size)

    def together() -> float:
        began = time.perf_counter()
        stack.train(dict.fromkeys(range(size), stack.trainer(0).step + num_steps))
        return time.perf_counter() - began

    def one_by_one() -> float:
        began = time.perf_counter()
        for trainer in alone:
            trainer.train(trainer.step + num_steps)
        return time.perf_counter() - began

    together(), one_by_one()
    pairs = in_turns(one_by_one, together, num_pairs, num_steps * size)
    return pairs.row("", "")


def whole_trials(
    spec: SearchSpec,
    assets: Assets,
    size: int,
    num_pairs: int,
    *,
    stacked_in: Literal["float32", "bf16"] = "float32",
) -> list[str]:
    """The same with all that a worker does for a trial: measurements and checkpoints at the rungs included.

    stacked_in: with products in this precision; alone they are in float32.
    """
    setting = Setting(assets, spec.own_setting.network, spec.training, spec.objective.num_samples)
    of_stack = replace(setting, training=replace(spec.training, precision=stacked_in))
    single, stacked = TrialWorker(setting), StackWorker({OWN: of_stack}, size=size)
    numbers = itertools.count()

    def task(folder: str) -> TrialTask:
        number = next(numbers)
        return TrialTask(
            number=number,
            schedule=ICT.to_dict(),
            seed=number,
            rungs=spec.stopping.steps(spec.training.total_steps),
            folder=str(Path(folder, str(number))),
        )

    def timed(work: Callable[[str], None]) -> float:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            began = time.perf_counter()
            work(folder)
            return time.perf_counter() - began

    def one_by_one(folder: str) -> None:
        for _ in range(size):
            single.begin(task(folder))
            while single.advance().outcome is None:
                pass

    def together(folder: str) -> None:
        stacked.take([task(folder) for _ in range(size)])
        while not stacked.is_idle:
            stacked.advance(60.0)

    seconds = in_turns(
        lambda: timed(one_by_one), lambda: timed(together), num_pairs, size * spec.training.total_steps
    )
    return seconds.row("", ">= 1.6")


def main(show: Callable[[str], None]) -> None:
    """Measure and show."""
    torch.set_num_threads(1)
    spec = load_spec("searches/digits.yaml")
    assets = prepare(spec.own_setting.data, spec.own_setting.extractor, cache_folder())
    own = spec.own_setting.network
    narrow, mlp = NETWORKS.build({"name": "film_mlp", "width": 64}), NETWORKS.build("mlp")
    rows = [
        [f"{title}, {size} at once", *training(spec, network, assets, size, _PAIRS)[1:]]
        for title, network, size in [
            ("film_mlp 96x2", own, 4),
            ("film_mlp 96x2", own, 8),
            ("film_mlp 96x2", own, 16),
            ("film_mlp 64x2", narrow, 16),
            ("mlp 256x2", mlp, 8),
        ]
    ]
    whole = "film_mlp 96x2, 8 at once, whole trials"
    rows.append([whole, *whole_trials(spec, assets, 8, 2)[1:]])
    rows.append([f"{whole}, bf16 against float32", *whole_trials(spec, assets, 8, 2, stacked_in="bf16")[1:]])
    show(
        f"stack: training steps of one trial per second on one core, batch {spec.training.batch_size}; median "
        "[smallest, largest] of the pairs"
    )
    show(table(["", "alone", "stacked", "stacked / alone", "pairs", "target"], rows))
