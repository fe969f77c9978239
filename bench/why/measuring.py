"""One run: how well each noise level is denoised, several times on the way.

Axes: N images, L noise levels, T times, C channels, H height, W width.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from bench.why.laws import Run
from search.machine.cache_folder import cache_folder
from trainable.data.digits import Digits
from trainable.dataset import model_input
from trainable.extractors.digits_cnn import DigitsCNN
from trainable.metric.assets import Assets, FrechetMetric, prepare
from trainable.network import NetworkModule
from trainable.task import WORST_OBJECTIVE
from trainable.training.consistency import consistency_function
from trainable.training.flat_parameters import flatten_parameters
from trainable.training.step import stream_seed
from trainable.training.trainer import Trainer

LEVELS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0)
SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)  # of the run, at which it is measured
NUM_HELD_OUT = 297  # the last images, which no run is trained on
_NOISE_SEED = 31

Row = Mapping[str, Any]


@dataclass
class Measuring:
    """Trains and measures runs, one after another. assets: of the digits."""

    assets: Assets

    @classmethod
    def here(cls) -> "Measuring":
        """With the digits and their feature network, made in this machine's cache where they are missing."""
        torch.set_num_threads(1)
        return cls(prepare(Digits(), DigitsCNN(), cache_folder()))

    @cached_property
    def _images_NCHW(self) -> Tensor:
        return model_input(self.assets.images_NCHW)

    @cached_property
    def _metric(self) -> FrechetMetric:
        return FrechetMetric(self.assets, len(self._images_NCHW))

    def __call__(self, run: Run) -> Row:
        """What is kept of the run.

        For every time and level, from f(x + sigma z, sigma) of the averaged weights, x each image once: `rms_TL` is
        the root mean squared difference to x per value, over the held-out images; `frechet_TL` the distance of all of
        them to the data; both at most WORST_OBJECTIVE. From sigma_max they are nearly samples: x is next to nothing
        there. A run that diverges is measured up to then.
        """
        begun = time.process_time()
        trainer = Trainer(run.setting.network, self._images_NCHW[:-NUM_HELD_OUT], run.setting.training)
        trainer.begin(run.schedule, run.seed)
        module, ema_P = self._average_of(run)
        steps, rms_TL, frechet_TL = [], [], []
        for share in SHARES:
            step = round(share * trainer.total_steps)
            if not math.isfinite(trainer.train(step)):
                break
            steps.append(step)
            ema_P.copy_(trainer.state_dict()[0]["ema_P"])
            found = [self._at(module, sigma, run) for sigma in LEVELS]
            rms_TL.append([rms for rms, _ in found])
            frechet_TL.append([distance for _, distance in found])
        return {
            "setting": run.setting.name,
            "law": run.law,
            "seed": run.seed,
            "schedule": run.schedule.to_dict(),
            "steps": steps,
            "rms_TL": rms_TL,
            "frechet_TL": frechet_TL,
            "cpu_seconds": round(time.process_time() - begun, 1),
        }

    def _average_of(self, run: Run) -> tuple[NetworkModule, Tensor]:
        """A network and its parameters, to be filled with averaged weights."""
        channels, height, width = self.assets.image_shape
        # torch's layers draw default weights from the global generator.
        with torch.random.fork_rng(devices=[]):
            module = run.setting.network.build((channels, height, width)).requires_grad_(False)
        return module, flatten_parameters(module, torch.device("cpu"))

    @torch.no_grad()
    def _at(self, module: NetworkModule, sigma: float, run: Run) -> tuple[float, float]:
        generator = torch.Generator().manual_seed(stream_seed("why", _NOISE_SEED))
        x_NCHW = self._images_NCHW
        noisy_NCHW = x_NCHW + sigma * torch.randn(x_NCHW.shape, generator=generator)
        parts = []
        for part in noisy_NCHW.split(500):
            sigma_B = torch.full((len(part),), sigma, dtype=torch.float64)
            sigma_data, sigma_min = run.setting.training.sigma_data, run.schedule.grid.sigma_min
            parts.append(consistency_function(module, part, sigma_B, sigma_min, sigma_data))
        denoised_NCHW = torch.cat(parts)
        difference_NCHW = (denoised_NCHW - x_NCHW)[-NUM_HELD_OUT:]
        found = (difference_NCHW.square().mean().sqrt().item(), self._metric(denoised_NCHW))
        rms, distance = (float(f"{min(value, WORST_OBJECTIVE):.4g}") for value in found)
        return rms, distance
