"""Training steps per second of a trial against the bare loop, in turns, on one core."""

import itertools
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from bench.figures import Spread, ratios, table
from bench.speed.bare_loop import BareLoop
from search.file.spec import SearchSpec, load_spec
from search.machine.cache_folder import cache_folder
from spaces import PRESETS
from trainable.metric.assets import prepare
from trainable.network import NETWORKS, Network
from trainable.setting import Setting
from trainable.task import TrialTask
from trainable.training.config import TrainingConfig
from trainable.training.trainer import Trainer
from trainable.trial import TrialWorker

ICT = PRESETS["ict"].schedule  # what the bare loop trains


@dataclass(frozen=True)
class Pairs:
    """Seconds that the same number of steps took, turn by turn."""

    num_steps: int
    bare: list[float]
    product: list[float]

    def row(self, name: str, target: str) -> list[str]:
        """Steps a second of both, and the ratio of the speeds pair by pair."""
        bare, product = (
            Spread.of([self.num_steps / seconds for seconds in one]) for one in (self.bare, self.product)
        )
        digits = 0 if bare.median >= 100 else 1
        ratio = ratios(self.bare, self.product)
        return [name, bare.text(digits), product.text(digits), ratio.text(), f"{ratio.count}", target]


def in_turns(
    bare: Callable[[], float], product: Callable[[], float], num_pairs: int, num_steps: int
) -> Pairs:
    """One after the other, each first in every second pair; each returns its seconds."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for pair in range(num_pairs):
        for which in (0, 1) if pair % 2 == 0 else (1, 0):
            seconds[which].append((bare, product)[which]())
    return Pairs(num_steps, *seconds)


def training_steps(
    network: Network, images_NCHW: Tensor, config: TrainingConfig, num_pairs: int, num_steps: int
) -> Pairs:
    """The trainer alone, asked after each step whether to pause, as in a trial."""
    bare = BareLoop(network, images_NCHW, config)
    trainer = Trainer(network, images_NCHW, config)
    trainer.begin(ICT, 0)

    def train() -> float:
        began = time.perf_counter()
        trainer.train(trainer.step + num_steps, should_pause=lambda: time.perf_counter() - began > 3600)
        return time.perf_counter() - began

    bare.train(num_steps), train()  # warm both up
    return in_turns(lambda: bare.train(num_steps), train, num_pairs, num_steps)


def whole_trials(spec: SearchSpec, num_pairs: int) -> Pairs:
    """All that a worker does for a trial, its measurements and checkpoints at the rungs included."""
    assets = prepare(spec.own_setting.data, spec.own_setting.extractor, cache_folder())
    worker = TrialWorker(Setting(assets, spec.own_setting.network, spec.training, spec.objective.num_samples))
    total_steps = spec.training.total_steps
    numbers = itertools.count()

    def bare() -> float:
        return BareLoop(spec.own_setting.network, assets.images_NCHW, spec.training).train(total_steps)

    def trial() -> float:
        number = next(numbers)
        began = time.perf_counter()
        worker.begin(
            TrialTask(
                number=number,
                schedule=ICT.to_dict(),
                seed=number,
                rungs=spec.stopping.steps(total_steps),
                folder=str(Path(folder, str(number))),
            )
        )
        while worker.advance().outcome is None:
            pass
        return time.perf_counter() - began

    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        return in_turns(bare, trial, num_pairs, total_steps)


def main(show: Callable[[str], None]) -> None:
    """Measure and show."""
    torch.set_num_threads(1)
    spec = load_spec("searches/digits.yaml")
    digits_NCHW = prepare(spec.own_setting.data, spec.own_setting.extractor, cache_folder()).images_NCHW
    unet = NETWORKS.build("unet")
    images_NCHW = torch.randn(1000, 1, 28, 28, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    small = replace(spec.training, batch_size=16)
    mlp, num_rungs = spec.training, len(spec.stopping.steps(spec.training.total_steps))
    rows = [
        training_steps(spec.own_setting.network, digits_NCHW, mlp, 30, 60).row(
            f"digits, batch {mlp.batch_size}: training", ">= 0.95"
        ),
        whole_trials(spec, 3).row(f"  the same with its {num_rungs} measurements", ""),
        training_steps(unet, images_NCHW, small, 5, 3).row(
            f"U-Net, 28x28, batch {small.batch_size}: training", ">= 0.95"
        ),
        training_steps(NETWORKS.build({"name": "unet", "channels": [16, 32]}), digits_NCHW, mlp, 5, 10).row(
            f"U-Net 16, 32, digits, batch {mlp.batch_size}: training", ">= 0.95"
        ),
        training_steps(NETWORKS.build("small_unet"), digits_NCHW, mlp, 5, 20).row(
            f"small U-Net, digits, batch {mlp.batch_size}: training", ">= 0.95, 60/s"
        ),
    ]
    show("step: training steps per second on one core; median [smallest, largest] of the pairs")
    show(table(["", "bare loop", "trial", "trial / bare", "pairs", "target"], rows))
