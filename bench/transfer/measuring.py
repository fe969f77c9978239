"""One trial of a setting: its curve, and its last samples by several measures."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from bench.figures import machine, versions
from bench.quality.record_curves import Recorder, Task
from bench.transfer.recording import Piece, Row
from bench.transfer.settings import SECOND_LEVEL, Setting
from bench.transfer.table import check_alike, features_of, measured_with
from search.machine.cache_folder import cache_folder
from search.machine.checkout import git_commit
from trainable.metric.assets import Assets, FrechetMetric, prepare
from trainable.storage.checkpoint import load_checkpoint
from trainable.storage.location import open_folder
from trainable.task import WORST_OBJECTIVE
from trainable.training.trainer import Trainer


@dataclass
class SettingRecorder:
    """Trains and measures trials of one setting, one after another.

    assets: of the objective first, then of the setting's other features.
    """

    setting: Setting
    assets: list[Assets]

    @property
    def features(self) -> dict[str, Any]:
        """As `bench.transfer.table.features_of` a row."""
        sha256 = {assets.objective: assets.extractor_sha256 for assets in self.assets}
        return {"data_sha256": self.assets[0].data_sha256, "extractor_sha256": sha256}

    @cached_property
    def _recorder(self) -> Recorder:
        spec = self.setting.spec
        num_samples = spec.objective.num_samples
        return Recorder(
            self.assets[0], spec.own_setting.network, spec.training, num_samples, self.setting.steps
        )

    @cached_property
    def _sampler(self) -> Trainer:
        spec = self.setting.spec
        return Trainer(spec.own_setting.network, self.assets[0].images_NCHW, spec.training)

    @cached_property
    def _metrics(self) -> list[FrechetMetric]:
        return [FrechetMetric(assets, self.setting.spec.objective.num_samples) for assets in self.assets]

    def __call__(self, task: Task) -> dict[str, Any]:
        """What is kept of the trial, but for where it was trained."""
        with tempfile.TemporaryDirectory(prefix="transfer-") as folder:
            curve = self._recorder.curve(task, folder)
            measures = self._measures(task, folder) if curve.outcome == "complete" else {}
        row = {"schedule": task.schedule.to_dict(), "seed": task.seed, "origin": task.origin}
        return row | vars(curve) | {"measures": measures}

    def _measures(self, task: Task, folder: str) -> dict[str, dict[str, float]]:
        """By number of network evaluations, the distance by each kind of features; the worst where it is not finite.

        With one evaluation they are of the same samples as the objective.
        """
        found = load_checkpoint(open_folder(folder))
        assert found is not None
        _, tensors, state = found
        self._sampler.begin(task.schedule, task.seed)
        self._sampler.load_state_dict(tensors, state["trainer"])
        measures = {}
        for evaluations, levels in (("1", ()), ("2", (SECOND_LEVEL,))):
            samples_NCHW = self._sampler.sample(self._metrics[0].num_samples, task.seed, levels)
            measures[evaluations] = {
                metric.objective: min(metric(samples_NCHW), WORST_OBJECTIVE) for metric in self._metrics
            }
        return measures


class Recorders:
    """Records pieces of any setting.

    known: rows by setting that the new ones are to stand beside.
    """

    def __init__(self, known: Mapping[str, Sequence[Row]], cache: Path | None = None):
        torch.set_num_threads(1)
        self._known, self._cache = known, cache or cache_folder()
        self._assets: dict[tuple[str, ...], list[Assets]] = {}
        self._recorders: dict[str, SettingRecorder] = {}
        # Of the code that is running, whatever is committed meanwhile.
        self._made = {"git_commit": git_commit(), "machine": machine(), "versions": versions()}

    def __call__(self, piece: Piece) -> Row:
        """What is kept of it. InputError where the feature networks here are not those of the known rows."""
        name = piece.setting.name
        if name not in self._recorders:
            recorder = SettingRecorder(piece.setting, self._prepared(piece.setting))
            check_alike([recorder.features, *map(features_of, self._known.get(name, ()))])
            self._recorders[name] = recorder
        recorder = self._recorders[name]
        row = recorder(Task(piece.chosen.schedule, piece.seed, piece.chosen.origin))
        return row | {"made": {**self._made, **recorder.features, "search": measured_with(piece.setting)}}

    def _prepared(self, setting: Setting) -> list[Assets]:
        spec = setting.spec
        assert spec.objective.extractor is not None
        extractors = (spec.objective.extractor, *setting.other_features)
        key = (setting.data, *map(repr, extractors))
        if key not in self._assets:
            self._assets[key] = [
                prepare(spec.own_setting.data, extractor, self._cache) for extractor in extractors
            ]
        return self._assets[key]
