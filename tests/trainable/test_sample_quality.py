"""A trained model's samples by several metrics at once."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

import trainable.sample_quality
from spaces import KarrasGrid, NoiseSchedule
from spaces.curricula.constant import Constant
from spaces.noise.lognormal import LogNormal
from trainable.data.idx_folder import IdxFolder
from trainable.dataset import DATASETS
from trainable.extractor import EXTRACTORS
from trainable.extractors.pixels import Pixels
from trainable.metric.assets import Assets, FrechetMetric, prepare
from trainable.metric.sample_metric import METRICS
from trainable.network import NETWORKS
from trainable.sample_quality import SampleJudge, measure_samples, usual_levels
from trainable.setting import Setting
from trainable.storage.local import LocalFolder
from trainable.task import TrialTask
from trainable.training.config import TrainingConfig
from trainable.trial import TrialWorker

SCHEDULE = NoiseSchedule(grid=KarrasGrid(), noise=LogNormal(), curriculum=Constant(levels=20))
SETTING: dict[str, Any] = {
    "network": NETWORKS.build({"name": "film_mlp", "width": 16, "depth": 1}),
    "training": TrainingConfig(total_steps=150, batch_size=32),
    "schedule": SCHEDULE,
    "seed": 5,
}


@pytest.fixture(scope="module")
def second(cache_dir: Path) -> Assets:
    """The digits with another feature network than the objective's."""
    return prepare(DATASETS.build("digits"), EXTRACTORS.build("strided_cnn"), cache_dir)


def trained(folder: Path, assets: Assets, rungs: tuple[int, ...] = (150,)) -> None:
    worker = TrialWorker(Setting(assets, SETTING["network"], SETTING["training"], num_samples=100))
    worker.begin(TrialTask(number=3, schedule=SCHEDULE.to_dict(), seed=5, rungs=rungs, folder=str(folder)))
    worker.advance()


def test_a_finished_trial_is_measured_by_all_metrics_at_each_number_of_evaluations(
    tmp_path: Path, digits_assets: Assets, second: Assets
) -> None:
    trained(tmp_path, digits_assets)
    judge = SampleJudge(second, list(METRICS), 200)
    given = {"judges": {"second": judge}, "images_NCHW": digits_assets.images_NCHW, **SETTING}
    found = measure_samples(LocalFolder(str(tmp_path)), **given, num_evaluations=(1, 2, 3))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    by_second = found["judges"]["second"]
    assert by_second["extractor"] == "strided_cnn" != digits_assets.extractor_name
    assert (by_second["num_real"], by_second["num_samples"]) == (1797, 200)
    assert found["sigmas"]["1"] == pytest.approx([80.0])
    assert found["sigmas"]["2"] == pytest.approx([80.0, 0.821])
    assert [len(sigmas) for sigmas in found["sigmas"].values()] == [1, 2, 3]
    assert list(by_second["metrics"]) == ["1", "2", "3"]
    for values in by_second["metrics"].values():
        assert set(values) == set(METRICS)
    assert by_second["metrics"]["1"] != by_second["metrics"]["2"]
    again = measure_samples(LocalFolder(str(tmp_path)), **given, num_evaluations=(1,))
    assert again["judges"]["second"]["metrics"]["1"] == by_second["metrics"]["1"]


def test_an_unfinished_trial_is_refused(tmp_path: Path, digits_assets: Assets, second: Assets) -> None:
    trained(tmp_path, digits_assets, rungs=(75, 150))
    judge = SampleJudge(second, ["kernel_distance"], 50)
    with pytest.raises(ValueError, match=r"step 150 is needed .* there is one of step 75"):
        measure_samples(
            LocalFolder(str(tmp_path)),
            judges={"second": judge},
            images_NCHW=digits_assets.images_NCHW,
            **SETTING,
        )


def test_real_images_are_judged_better_than_noise_by_every_metric(second: Assets) -> None:
    judge = SampleJudge(second, list(METRICS), 300)
    generator = torch.Generator().manual_seed(0)
    index = torch.randperm(len(second.images_NCHW), generator=generator)[:300]
    real, noise = judge(second.images_NCHW[index]), judge(torch.randn(300, 1, 8, 8, generator=generator))
    for name, metric in METRICS.items():
        assert real[name] > noise[name] if metric.LARGER_IS_BETTER else real[name] < noise[name]


def test_with_one_network_its_frechet_distance_is_that_of_the_objective(second: Assets) -> None:
    x_NCHW = torch.randn(100, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    found = SampleJudge(second, ["frechet_distance"], 100)(x_NCHW)
    assert found["frechet_distance"] == pytest.approx(FrechetMetric(second, 100)(x_NCHW), rel=1e-9)


def test_options_that_are_not_the_defaults_are_part_of_the_name(second: Assets) -> None:
    judge = SampleJudge(second, ["recall", {"name": "recall", "nearest_k": 5}], 20)
    assert list(judge(torch.zeros(20, 1, 8, 8))) == ["recall", "recall(nearest_k=5)"]


def test_samples_that_are_not_finite_get_the_worst_values(second: Assets) -> None:
    samples_NCHW = torch.zeros(20, 1, 8, 8)
    samples_NCHW[3, 0, 0, 0] = math.nan
    found = SampleJudge(second, ["recall", "kernel_distance"], 20)(samples_NCHW)
    assert found == {"recall": 0.0, "kernel_distance": math.inf}


def test_another_number_of_samples_and_unknown_metrics_are_refused(second: Assets) -> None:
    with pytest.raises(ValueError, match="20 samples are needed, but got 19"):
        SampleJudge(second, ["recall"], 20)(torch.zeros(19, 1, 8, 8))
    with pytest.raises(ValueError, match=r"Unknown metric 'kid'.*Add one in trainable/metrics/"):
        SampleJudge(second, ["kid"], 20)


def test_of_many_real_images_always_the_same_are_taken(
    idx_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainable.sample_quality, "MAX_REAL_IMAGES", 60)
    assets = prepare(IdxFolder(root=str(idx_folder)), Pixels(), tmp_path)
    samples_NCHW = torch.zeros(30, 1, 8, 8)
    one, again = (SampleJudge(assets, ["frechet_distance"], 30) for _ in range(2))
    assert one.identity["num_real"] == 60
    assert one(samples_NCHW) == again(samples_NCHW)


def test_levels_that_need_no_search() -> None:
    sigma_N = SCHEDULE.stages(150)[-1].sigma_N
    assert usual_levels(1, sigma_N) == pytest.approx((80.0,))
    assert usual_levels(2, sigma_N) == pytest.approx((80.0, 0.821))
    low_N = sigma_N + 1  # sigma_min above the published second level
    for n in (2, 3, 4):
        levels = usual_levels(n, low_N)
        assert len(levels) == n
        assert levels[0] == low_N[-1]
        assert levels[-1] > low_N[0]
