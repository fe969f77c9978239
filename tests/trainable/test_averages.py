"""Several averages of the weights at once: each is what it would be alone, all are measured."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from spaces import PRESETS
from trainable.metric.assets import FrechetMetric
from trainable.storage.location import open_folder
from trainable.task import TrialTask
from trainable.training.config import TrainingConfig
from trainable.training.finished import best_horizon, finished_trainer
from trainable.training.trainer import Trainer
from trainable.trial import TrialWorker

ICT = PRESETS["ict"].schedule
Make = Callable[..., TrialWorker]
OTHERS = (0.05, 0.0)


def metrics(worker: TrialWorker, folder: Path) -> dict[str, float]:
    task = TrialTask(number=0, schedule=ICT.to_dict(), seed=1, rungs=(60, 120), folder=str(folder))
    worker.begin(task)
    while (progress := worker.advance()).outcome is None:
        pass
    return dict(progress.reports[-1]["metrics"])


def test_each_average_is_what_it_is_alone_and_the_training_is_the_same(worker: Make, tmp_path: Path) -> None:
    several = metrics(worker(other_ema_horizons=OTHERS), tmp_path / "several")
    alone = {
        horizon: metrics(worker(ema_horizon=horizon), tmp_path / f"{horizon}") for horizon in (0.3, *OTHERS)
    }
    assert several["fd_digits_cnn"] == alone[0.3]["fd_digits_cnn"]
    for horizon, found in alone.items():
        assert several[f"fd_digits_cnn_ema{horizon:g}"] == pytest.approx(found["fd_digits_cnn"], rel=1e-3)
        assert several["loss"] == found["loss"]
        assert not any("_ema" in name for name in found)


def test_the_objective_takes_the_best_and_so_does_who_samples_later(worker: Make, tmp_path: Path) -> None:
    made = worker(ema_horizon=1.0, other_ema_horizons=OTHERS, best_ema=True)
    found = metrics(made, tmp_path / "best")
    averages = {h: found[f"fd_digits_cnn_ema{h:g}"] for h in (1.0, *OTHERS)}
    assert found["fd_digits_cnn"] == min(averages.values())
    best = best_horizon(found, made.setting.training.ema_horizons)
    assert averages[best] == min(averages.values()) and best != 1.0
    setting = made.setting
    again = finished_trainer(
        open_folder(str(tmp_path / "best")),
        setting.network,
        setting.assets.images_NCHW,
        setting.training,
        ICT,
        1,
    )
    metric = FrechetMetric(setting.assets, setting.num_samples)
    assert metric(again.sample(setting.num_samples, seed=1)) == pytest.approx(found["fd_digits_cnn"])


def test_averages_go_on_after_an_interruption(worker: Make, tmp_path: Path) -> None:
    whole = metrics(worker(other_ema_horizons=OTHERS), tmp_path / "whole")
    task = TrialTask(number=0, schedule=ICT.to_dict(), seed=1, rungs=(60, 120), folder=str(tmp_path / "cut"))
    first = worker(other_ema_horizons=OTHERS)
    first.begin(task)
    first.advance()
    assert whole == metrics(worker(other_ema_horizons=OTHERS), tmp_path / "cut") | {
        "train_seconds": whole["train_seconds"]
    }


def test_an_average_is_had_for_a_while(worker: Make) -> None:
    setting = worker(other_ema_horizons=(0.0,)).setting
    trainer = Trainer(setting.network, setting.assets.images_NCHW, setting.training)
    trainer.begin(ICT, 1)
    trainer.train(20)

    def average() -> torch.Tensor:
        return torch.cat([parameter.flatten() for parameter in trainer.averaged().parameters()])

    usual_P, tensors = average(), trainer.state_dict()[0]
    with trainer.average_over(0.0):
        assert torch.equal(average(), tensors["parameters_P"])
    assert torch.equal(average(), usual_P) and not torch.equal(usual_P, tensors["parameters_P"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"other_ema_horizons": (0.3,)}, r"each EMA horizon must be given once, but got \[0\.3, 0\.3\]"),
        ({"other_ema_horizons": (2.0,)}, r"must be at most 8 numbers from 0 to 1, but got \[2\.0\]"),
        ({"other_ema_horizons": tuple(i / 10 for i in range(9))}, r"must be at most 8 numbers"),
        ({"best_ema": True}, r"best_ema has no effect without `other_ema_horizons`: leave it out"),
    ],
)
def test_averages_without_meaning_are_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TrainingConfig(), **options)
