"""Sampling levels: found on toy distances, within their limits, measured on other noise, end to end."""

import itertools
import json
import math
from pathlib import Path

import pytest

from spaces import KarrasGrid, NoiseSchedule
from spaces.curricula.constant import Constant
from spaces.noise.lognormal import LogNormal
from trainable.metric.assets import Assets
from trainable.network import NETWORKS
from trainable.sampling_levels import (
    ALIGN_YOUR_STEPS,
    Levels,
    baselines,
    measure_levels,
    measure_trial,
    optimise_levels,
)
from trainable.setting import Setting
from trainable.storage.local import LocalFolder
from trainable.task import WORST_OBJECTIVE, TrialTask
from trainable.training.config import TrainingConfig
from trainable.trial import TrialWorker

SIGMA_N = KarrasGrid().sigmas(1281)
HELD_OUT = (1, 2, 3)


class Toy:
    """1 + sum of squares of ln sigma - ln target, the targets for each number of levels; remembers its calls."""

    def __init__(self, *targets: float, noise: float = 0.0):
        self.targets = targets
        self.noise = noise
        self.calls: list[tuple[Levels, int]] = []

    def __call__(self, levels: Levels, seed: int) -> float:
        self.calls.append((levels, seed))
        pairs = zip(levels[1:], self.targets, strict=False)
        value = 1 + sum((math.log(level) - math.log(target)) ** 2 for level, target in pairs)
        return value * (1 + self.noise * math.sin(1000.0 * seed))


@pytest.mark.parametrize("targets", [(0.8,), (5.0, 0.3), (10.0, 1.0, 0.1), (0.06,), (19.0, 17.0)])
def test_the_minimum_of_a_quadratic_is_found(targets: tuple[float, ...]) -> None:
    toy = Toy(*targets)
    n = 1 + len(targets)
    table = measure_levels(toy, SIGMA_N, [n], 0, HELD_OUT)
    assert table.best[n].sigmas[0] == 80.0
    found, wanted = table.best[n].sigmas[1:], targets
    assert [math.log(sigma) for sigma in found] == pytest.approx([math.log(s) for s in wanted], abs=0.05)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_all_levels_tried_decrease_and_lie_between_the_ends(n: int) -> None:
    toy = Toy(30.0, 0.01, 0.001)  # pushes against every limit
    measure_levels(toy, SIGMA_N, range(2, n + 1), 0, HELD_OUT)
    for levels, _ in toy.calls:
        assert levels[0] == 80.0
        assert all(before > after for before, after in itertools.pairwise((*levels, 0.002)))


@pytest.mark.parametrize("max_evaluations", [1, 5, 17, 60])
def test_no_more_distances_are_computed_than_allowed(max_evaluations: int) -> None:
    toy = Toy(5.0, 0.3, 0.1)
    known = baselines(4, SIGMA_N)
    optimise_levels(lambda levels: toy(levels, 0), list(known.values()), SIGMA_N, max_evaluations)
    assert len(toy.calls) <= max_evaluations
    assert len({levels for levels, _ in toy.calls}) == len(toy.calls)  # none is computed twice


@pytest.mark.parametrize("seed", range(20))
def test_on_the_seed_of_the_search_they_are_never_worse_than_a_baseline(seed: int) -> None:
    def rugged(levels: Levels, noise_seed: int) -> float:
        return 2 + math.sin(7 * sum(math.log(level) * (i + seed) for i, level in enumerate(levels)))

    table = measure_levels(rugged, SIGMA_N, [2, 3, 4], 0, HELD_OUT)
    for n in (2, 3, 4):
        found = table.best[n].search_distance
        assert found is not None
        assert all(found <= rugged(row.sigmas, 0) for row in table.baselines[n])


def test_the_better_of_two_valleys_is_found() -> None:
    def two(levels: Levels, seed: int) -> float:
        x = math.log(levels[-1])
        return min((x - math.log(10)) ** 2 + 1, (x - math.log(0.1)) ** 2)

    assert measure_levels(two, SIGMA_N, [2], 0, HELD_OUT).best[2].sigmas[1] == pytest.approx(0.1, rel=0.05)


def test_held_out_noise_is_only_reported_and_never_searched_on() -> None:
    toy = Toy(0.5, noise=0.1)
    table = measure_levels(toy, SIGMA_N, [2], 0, HELD_OUT)
    rows = [table.best[1], table.best[2], *table.baselines[2]]
    reported = [(row.sigmas, seed) for row in rows for seed in HELD_OUT]
    assert [call for call in toy.calls if call[1] != 0] == reported
    for row in rows:
        assert row.distances == tuple(toy(row.sigmas, seed) for seed in HELD_OUT)
        assert row.distance == pytest.approx(sum(row.distances) / 3)
    assert table.best[2].search_distance == toy(table.best[2].sigmas, 0)
    with pytest.raises(ValueError, match="held_out_seeds"):
        measure_levels(toy, SIGMA_N, [2], 1, HELD_OUT)


def test_what_is_not_finite_is_avoided_and_can_be_written() -> None:
    def broken(levels: Levels, seed: int) -> float:
        if levels[-1] > 1:
            return math.nan
        return math.inf if seed else (math.log(levels[-1]) + 1) ** 2

    table = measure_levels(broken, SIGMA_N, [2], 0, HELD_OUT)
    assert table.best[2].sigmas[1] == pytest.approx(math.exp(-1), rel=0.05)
    assert table.best[2].distance == WORST_OBJECTIVE


def test_a_range_of_levels_far_from_images_is_searched_too() -> None:
    sigma_N = KarrasGrid(sigma_min=1e-4, sigma_max=0.04).sigmas(100)
    toy = Toy(0.001)
    assert measure_levels(toy, sigma_N, [2], 0, HELD_OUT).best[2].sigmas[1] == pytest.approx(0.001, rel=0.06)


def test_baselines_are_the_published_ones() -> None:
    two = baselines(2, SIGMA_N)
    assert two["ict_published"] == (80.0, 0.821)
    assert two["uniform_index"] == (80.0, SIGMA_N[640].item())
    # Ten steps are the published list itself, stretched to the range: its ends and the order of its gaps stay.
    ten = (*baselines(10, SIGMA_N)["align_your_steps"], 0.002)
    stretch = math.log(80 / 0.002) / math.log(ALIGN_YOUR_STEPS[0] / ALIGN_YOUR_STEPS[-1])
    for ours, published in zip(ten, ALIGN_YOUR_STEPS, strict=True):
        assert math.log(80 / ours) == pytest.approx(stretch * math.log(ALIGN_YOUR_STEPS[0] / published))
    assert "ict_published" not in baselines(3, SIGMA_N)
    assert baselines(4, SIGMA_N)["uniform_index"][1:] == tuple(SIGMA_N[[960, 640, 320]].tolist())


@pytest.mark.parametrize("num_train_levels", [2, 3, 11])
@pytest.mark.parametrize("n", [2, 3, 4])
def test_baselines_of_a_coarse_grid_are_left_out_where_they_are_no_levels(
    num_train_levels: int, n: int
) -> None:
    known = baselines(n, KarrasGrid(sigma_max=0.5).sigmas(num_train_levels))
    assert "align_your_steps" in known
    assert "ict_published" not in known  # .821 is above sigma_max
    for levels in known.values():
        assert len(levels) == n
        assert all(before > after for before, after in itertools.pairwise((*levels, 0.002)))


def test_one_level_needs_no_search() -> None:
    with pytest.raises(ValueError, match="num_levels >= 2"):
        measure_levels(Toy(), SIGMA_N, [1], 0, HELD_OUT)


SCHEDULE = NoiseSchedule(grid=KarrasGrid(), noise=LogNormal(), curriculum=Constant(levels=20))
NETWORK, TRAINING = (
    NETWORKS.build({"name": "film_mlp", "width": 16, "depth": 1}),
    TrainingConfig(total_steps=150, batch_size=32),
)


def trained(folder: Path, assets: Assets, rungs: tuple[int, ...] = (150,)) -> None:
    worker = TrialWorker(Setting(assets, NETWORK, TRAINING, 100))
    worker.begin(TrialTask(number=3, schedule=SCHEDULE.to_dict(), seed=5, rungs=rungs, folder=str(folder)))
    worker.advance()


def test_a_trained_trial_is_measured_from_its_checkpoint(tmp_path: Path, digits_assets: Assets) -> None:
    trained(tmp_path, digits_assets)
    setting = {
        "assets": digits_assets,
        "network": NETWORK,
        "training": TRAINING,
        "schedule": SCHEDULE,
        "seed": 5,
        "num_samples": 100,
        "num_levels": (2,),
    }
    measured = measure_trial(LocalFolder(str(tmp_path)), **setting)
    assert json.loads(json.dumps(measured, allow_nan=False)) == measured
    assert set(measured["metrics"]) == {"fd_digits_cnn_nfe1", "fd_digits_cnn_nfe2"}
    assert measured["metrics"]["fd_digits_cnn_nfe2"] == measured["best"]["2"]["distance"]
    # 100 images of an untrained network are about 10 % noise apart; two evaluations must not be a disaster.
    assert measured["best"]["2"]["distance"] < 1.5 * measured["best"]["1"]["distance"]
    assert [row["name"] for row in measured["baselines"]["2"]] == [
        "ict_published",
        "uniform_index",
        "align_your_steps",
    ]
    assert not {measured["search_seed"], 5} & set(measured["held_out_seeds"])

    # Its file may lie among the checkpoints: they are found as before, and the same values come out.
    (tmp_path / "sampling.json").write_text(json.dumps(measured))
    assert measure_trial(LocalFolder(str(tmp_path)), **setting) == measured


@pytest.mark.parametrize("rungs", [(), (75, 150)])
def test_an_unfinished_trial_is_refused(
    tmp_path: Path, digits_assets: Assets, rungs: tuple[int, ...]
) -> None:
    if rungs:
        trained(tmp_path, digits_assets, rungs)
    with pytest.raises(
        ValueError, match=f"step 150 is needed .* there is {'one of step 75' if rungs else 'none'}"
    ):
        measure_trial(
            LocalFolder(str(tmp_path)),
            assets=digits_assets,
            network=NETWORK,
            training=TRAINING,
            schedule=SCHEDULE,
            seed=5,
            num_samples=100,
            num_levels=(2,),
        )
