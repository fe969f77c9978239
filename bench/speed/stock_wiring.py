"""The same search through Ray Tune's own parts, as their documentation puts them together: the yardstick.

Function trainable, OptunaSearch, ASHAScheduler, MLflowLoggerCallback on SQLite, no reuse of workers, Tune's default
settings. The training loop, the metric and the space are the product's. No checkpoints: less work than the
product does.
"""

import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from optuna.trial import FixedTrial, Trial
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune import RunConfig, TuneConfig
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from search.file.spec import SearchSpec
from search.machine.sqlite_url import sqlite_url
from search.running.plan_of import objective_of
from search.stopping.asha import ASHA
from spaces import SearchSpace
from trainable.metric.assets import Assets, FrechetMetric
from trainable.training.trainer import Trainer


def train_schedule(config: dict[str, Any], assets: Assets, spec: SearchSpec) -> None:
    """One trial: train to each rung, measure, report."""
    torch.set_num_threads(max(1, int(spec.resources.cpu)))
    trainer = Trainer(spec.own_setting.network, assets.images_NCHW, spec.training)
    metric = FrechetMetric(assets, spec.objective.num_samples)
    trainer.begin(spec.space.suggest(FixedTrial(config)), spec.seed)
    train_seconds = 0.0
    for rung in spec.stopping.steps(spec.training.total_steps):
        began = time.monotonic()
        loss = trainer.train(rung)
        train_seconds += time.monotonic() - began
        distance = metric(trainer.sample(spec.objective.num_samples, seed=spec.seed))
        tune.report(
            {
                "step": rung,
                assets.objective: distance,
                "loss": loss,
                "train_seconds": train_seconds,
                "time": time.time(),
            }
        )


def run_stock(spec: SearchSpec, assets: Assets, folder: Path) -> list[list[dict[str, float]]]:
    """Run `budget.max_trials` trials on the connected Ray; of each trial its results in order."""
    assert isinstance(spec.stopping, ASHA)
    objective = objective_of(spec)

    results = _Results()
    assert spec.budget.max_trials is not None
    tuner = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(train_schedule, assets=assets, spec=spec), {"cpu": spec.resources.cpu}
        ),
        tune_config=TuneConfig(
            search_alg=OptunaSearch(space=partial(_draw, spec.space), metric=objective, mode="min"),
            scheduler=ASHAScheduler(
                time_attr="step",
                metric=objective,
                mode="min",
                max_t=spec.training.total_steps,
                grace_period=spec.stopping.steps(spec.training.total_steps)[0],
                reduction_factor=spec.stopping.reduction_factor,
            ),
            num_samples=spec.budget.max_trials,
        ),
        run_config=RunConfig(
            name="stock",
            storage_path=str(folder / "results"),
            verbose=0,
            callbacks=[
                MLflowLoggerCallback(tracking_uri=sqlite_url(folder / "mlflow.db"), experiment_name="stock"),
                results,
            ],
        ),
    )
    tuner.fit()
    return list(results.of_trial.values())


def _draw(space: SearchSpace, trial: Trial) -> None:
    """Define-by-run: OptunaSearch keeps what is suggested on the way."""
    space.suggest(trial)


class _Results(tune.Callback):
    """Keeps what was reported."""

    def __init__(self) -> None:
        self.of_trial: dict[str, list[dict[str, float]]] = {}

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: dict, **info: Any) -> None:
        kept = {key: float(result[key]) for key in ("step", "train_seconds", "time")}
        self.of_trial.setdefault(trial.trial_id, []).append(kept)
