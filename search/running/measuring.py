"""Measures the samples of confirmed models by the judges of the search file: feature networks with their metrics."""

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from search.errors import OperationFailed
from search.file.measures import Judge
from search.file.spec import SearchSpec
from search.machine.cache_folder import cache_folder
from search.record import TrialRecord
from search.study.trial_storage import TrialStorage
from trainable.metric.assets import Assets, prepare
from trainable.metric.sample_metric import METRICS
from trainable.sample_quality import MAX_REAL_IMAGES, SampleJudge, measure_samples
from trainable.setting import Setting
from trainable.storage.folder import StorageError
from trainable.task import WORST_OBJECTIVE
from trainable.trial import device_of


def prepared_judges(spec: SearchSpec, own: Assets, folder: Path, device: str) -> dict[str, Assets | str]:
    """By the name of its feature network, what each judge needs; in a line, why that cannot be had here.

    own: of the search; its images are shared. folder: the cache.
    """
    found: dict[str, Assets | str] = {}
    for name, judge in spec.measures.by_network.items():
        try:
            assets = prepare(spec.own_setting.data, judge.extractor, folder, device)
        except ValueError as error:
            found[name] = " ".join(str(error).split())
        else:
            found[name] = replace(assets, images_NCHW=own.images_NCHW)
    return found


class Measuring:
    """Measures one trial after the other. Lives until the last, and keeps the features of the real images.

    setting: the search's own. prepared: see `prepared_judges`.
    """

    def __init__(self, spec: SearchSpec, setting: Setting, prepared: Mapping[str, Assets | str]):
        self._spec, self._setting, self._prepared = spec, setting, prepared
        self._device = device_of(spec.resources.gpu)

    @cached_property
    def _judges(self) -> dict[str, SampleJudge]:
        """Made at the first trial, where an interruption may end it."""
        num_samples = self._spec.objective.num_samples
        return {
            name: SampleJudge(assets, _plain(judge), num_samples, self._device)
            for name, judge in self._spec.measures.by_network.items()
            if isinstance(assets := self._prepared[name], Assets)
        }

    def of(self, record: TrialRecord) -> dict[str, Any]:
        """What is kept of the samples of a finished trial's model (`Measured.of`): values, or why there are none.

        OperationFailed where the storage of the trials cannot be read.
        """
        folder = TrialStorage(self._spec.trials).folder(record.number)
        try:
            found = measure_samples(
                folder,
                judges=self._judges,
                images_NCHW=self._setting.assets.images_NCHW,
                network=self._setting.network,
                training=self._setting.training,
                schedule=record.schedule,
                seed=record.seed,
                num_evaluations=self._spec.measures.nfe,
                device=self._device,
                sigma_start=self._spec.sampling.sigma_start,
            )
        except StorageError as error:
            raise OperationFailed(str(error)) from error
        except ValueError as error:
            return {"judges": {}, "problem": " ".join(str(error).split()), **_now()}
        judges = {name: self._kept(name, judge) for name, judge in found["judges"].items()}
        return {"seed": found["seed"], "sigmas": found["sigmas"], "judges": judges, "problem": None, **_now()}

    def _kept(self, name: str, found: Mapping[str, Any]) -> dict[str, Any]:
        """What one judge found. A value is finite: JSON has no infinity."""
        names = {
            metric.describe(): metric.name_on(name) for metric in self._spec.measures.by_network[name].metrics
        }
        return {
            "extractor_sha256": found["extractor_sha256"],
            "num_real": found["num_real"],
            "num_samples": found["num_samples"],
            "values": {
                f"{names[metric]}_nfe{n}": min(value, WORST_OBJECTIVE)
                for n, values in found["metrics"].items()
                for metric, value in values.items()
            },
        }


def _plain(judge: Judge) -> list[dict[str, Any]]:
    return [METRICS.describe(metric) for metric in judge.metrics]


def _now() -> dict[str, int]:
    return {"time_ms": time.time_ns() // 1_000_000}


_TIMED_IMAGES = 500
_TIMED_FEATURES = 512  # of more, a Frechet distance alone takes seconds
_STEP_PASSES = 4  # of the network for a training step: teacher, student, and twice as much for the gradient


def seconds_of_model(spec: SearchSpec, steps_per_second: float) -> float:
    """How long the samples of one model take, about: the metrics timed on a few features at random, the rest counted.

    steps_per_second: of a trial.
    """
    images, num_samples = spec.own_setting.data.load(cache_folder()), spec.objective.num_samples
    num_real = min(len(images.x_NCHW), MAX_REAL_IMAGES)
    passes = sum(spec.measures.nfe) * num_samples / spec.training.batch_size
    timed = min(num_samples, _TIMED_IMAGES), min(num_real, _TIMED_IMAGES)
    more = (num_samples + num_real) / sum(timed)
    more_pairs = more * num_samples / timed[0]
    generator = torch.Generator().manual_seed(0)
    seconds = 0.0
    for name, judge in spec.measures.by_network.items():
        num_features = images.x_NCHW[0].numel() if name == "pixels" else _TIMED_FEATURES // 8
        shape = min(num_features, _TIMED_FEATURES)
        samples_GD, real_ND = (torch.randn(num, shape, generator=generator) for num in timed)
        for metric in judge.metrics:
            if min(timed) >= metric.least_images:
                start = time.perf_counter()
                metric(real_ND, samples_GD)
                seconds += (time.perf_counter() - start) * (more_pairs if metric.BY_PAIRS else more)
    return passes / (_STEP_PASSES * steps_per_second) + len(spec.measures.nfe) * seconds
