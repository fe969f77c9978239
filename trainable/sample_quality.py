"""The samples of a trained model by several metrics at once, on feature networks of their own.

Axes: N real images, C channels, H height, W width.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from spaces import NoiseSchedule
from spaces.heun import heun_levels
from trainable.metric.assets import Assets, FrechetMetric
from trainable.metric.sample_metric import METRICS, SampleMetric
from trainable.network import Network
from trainable.sampling_levels import Levels, baselines, levels_up_to
from trainable.storage.folder import Folder
from trainable.training.config import TrainingConfig
from trainable.training.finished import finished_trainer
from trainable.training.step import stream_seed

MAX_REAL_IMAGES = 10_000  # that samples are compared with; nearest neighbours cost the square of it


class SampleJudge:
    """Samples by named metrics. Lives for a whole search, and keeps the features of the real images.

    assets: of `prepare`, with the feature network that judges; where a search minimised the distance on one network,
    another one should judge. metrics: names in `trainable/metrics/`, or mappings with `name` and options. The real
    images are all of the data set, or MAX_REAL_IMAGES of them, always the same. ValueError for too few images.
    """

    def __init__(
        self,
        assets: Assets,
        metrics: Sequence[str | Mapping[str, Any]],
        num_samples: int,
        device: str = "cpu",
    ):
        self._metrics: dict[str, SampleMetric] = {
            metric.describe(): metric for metric in map(METRICS.build, metrics)
        }
        self.num_samples = num_samples
        self._network = FrechetMetric(assets, num_samples, device)
        images_NCHW = assets.images_NCHW
        if len(images_NCHW) > MAX_REAL_IMAGES:
            generator = torch.Generator().manual_seed(stream_seed("real images"))
            images_NCHW = images_NCHW[torch.randperm(len(images_NCHW), generator=generator)[:MAX_REAL_IMAGES]]
        self._real_ND = self._network.features(images_NCHW)
        self.identity = {
            "extractor": assets.extractor_name,
            "extractor_sha256": assets.extractor_sha256,
            "data_sha256": assets.data_sha256,
            "num_real": len(images_NCHW),
            "num_samples": num_samples,
        }

    def __call__(self, samples_NCHW: Tensor) -> dict[str, float]:
        """Each metric by its name and its options where they are not the defaults, for `num_samples` samples.

        The worst value of each where a sample is not finite.
        """
        if len(samples_NCHW) != self.num_samples:
            raise ValueError(f"{self.num_samples} samples are needed, but got {len(samples_NCHW)}")
        if not bool(torch.isfinite(samples_NCHW).all()):
            return {name: metric.worst for name, metric in self._metrics.items()}
        features_GD = self._network.features(samples_NCHW)
        return {name: metric(self._real_ND, features_GD) for name, metric in self._metrics.items()}


def usual_levels(num_evaluations: int, sigma_N: Tensor) -> Levels:
    """Levels for so many network evaluations that need no search: the first of `baselines`, sigma_max alone for one.

    sigma_N: training levels, increasing.
    """
    if num_evaluations == 1:
        return (sigma_N[-1].item(),)
    return next(iter(baselines(num_evaluations, sigma_N).values()))


def levels_for(
    schedule: NoiseSchedule, num_evaluations: int, total_steps: int, sigma_start: float | None = None
) -> Levels:
    """At which a model of the schedule is sampled in so many network evaluations: `usual_levels`, or Heun's.

    Heun's method has an odd number of them. sigma_start: the first level; None: sigma_max.
    """
    if schedule.loss.DENOISES:
        first = schedule.grid.sigma_max if sigma_start is None else sigma_start
        return heun_levels((num_evaluations + 1) // 2, schedule.grid.sigma_min, first)
    return usual_levels(num_evaluations, levels_up_to(schedule, total_steps, sigma_start))


def measure_samples(
    folder: Folder,
    *,
    judges: Mapping[str, SampleJudge],
    images_NCHW: Tensor,
    network: Network,
    training: TrainingConfig,
    schedule: NoiseSchedule,
    seed: int,
    num_evaluations: Sequence[int] = (1, 2),
    device: str = "cpu",
    sigma_start: float | None = None,
) -> dict[str, Any]:
    """A finished trial's samples by all metrics of the judges, at each number of network evaluations; plain data.

    judges: by a name each, all of one number of samples: all see the same ones. folder, schedule, seed: of the trial,
    as its `TrialTask` had them; the others as its `TrialWorker`. The noise is that of no other sampling of the search.
    The levels are those of `levels_for`, so that no schedule gains by a search for its own. Raises ValueError if
    there is no model of the full budget.

    All six metrics at one and two evaluations of the digits' network take a second on one core for 2,000 samples;
    with 10,000 real images and 5,000 samples 15 s or so for each number of evaluations, nearly all of it for the
    nearest neighbours.
    """
    trainer = finished_trainer(folder, network, images_NCHW, training, schedule, seed, device, sigma_start)
    noise_seed = stream_seed("sample quality", seed) % 2**31  # every reader of JSON keeps 31 bits
    levels = {n: levels_for(schedule, n, training.total_steps, sigma_start) for n in num_evaluations}
    (num_samples,) = {judge.num_samples for judge in judges.values()}
    found: dict[str, dict[str, dict[str, float]]] = {name: {} for name in judges}
    for n, sigmas in levels.items():
        samples_NCHW = trainer.sample(num_samples, noise_seed, sigmas[1:])
        for name, judge in judges.items():
            found[name][str(n)] = judge(samples_NCHW)
    return {
        "seed": noise_seed,
        "sigmas": {str(n): list(sigmas) for n, sigmas in levels.items()},
        "judges": {name: {**judge.identity, "metrics": found[name]} for name, judge in judges.items()},
    }
