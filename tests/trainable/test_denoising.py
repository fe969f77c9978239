"""The denoising loss and Heun's method against closed forms; a diffusion model trained as a trial."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from search.winner.sampling import sampling_part
from spaces import PRESETS, NoiseSchedule, load_schedule
from spaces.continuous import Ends
from spaces.document.format import HEUN
from spaces.document.writing import training_part, trial_document
from spaces.heun import heun_levels
from spaces.losses.denoising import Denoising
from spaces.noise.lognormal import LogNormal
from trainable.sample_quality import levels_for
from trainable.sampling_levels import levels_up_to
from trainable.task import TrialTask
from trainable.training.consistency import LevelTables, consistency_loss, loss_tensors, sample
from trainable.training.heun import sample_by_heun
from trainable.training.step import stream_seed
from trainable.training.trainer import Trainer
from trainable.trial import TrialWorker

SCHEDULE = NoiseSchedule.denoising(LogNormal(p_mean=-1.2, p_std=1.2), loss=Denoising(heun_steps=4))
SIGMA_DATA = 0.5


def test_the_loss_is_edms() -> None:
    """Written down anew from Karras et al. 2022, Table 1: weight times squared error of the denoiser."""
    (stage,) = SCHEDULE.stages(100)
    tables = LevelTables.of_pairs(SCHEDULE.pairs(stage, SIGMA_DATA), SCHEDULE.identity_at, SIGMA_DATA)
    assert bool(tables.table_ML.isfinite().all())
    rows_BL = tables.table_ML[[5, 2000, 4090]]
    generator = torch.Generator().manual_seed(0)
    x_BCHW, z_BCHW = (torch.randn(3, 1, 4, 4, generator=generator) for _ in range(2))

    def network(x: Tensor, c_noise_B: Tensor) -> Tensor:
        return torch.tanh(2 * x) + c_noise_B[:, None, None, None]

    loss_3 = loss_tensors(SCHEDULE.loss.constants(16, 0.03))
    found_B = consistency_loss(network, x_BCHW, z_BCHW, rows_BL, loss_3)
    for i, t in enumerate(rows_BL[:, 0].double()):
        noised = x_BCHW[i : i + 1] + t.float() * z_BCHW[i : i + 1]
        total = (t**2 + SIGMA_DATA**2).sqrt()
        F = network((noised / total).float(), (t.log() / 4).float()[None])
        D = SIGMA_DATA**2 / total**2 * noised + t * SIGMA_DATA / total * F
        weight = (t**2 + SIGMA_DATA**2) / (t * SIGMA_DATA) ** 2
        expected = weight * (D - x_BCHW[i : i + 1]).square().sum()
        assert found_B[i].item() == pytest.approx(expected.item(), rel=1e-4)


def test_heuns_method_counts_its_evaluations_and_is_of_second_order() -> None:
    """Data N(0, sigma_data^2): D has F = 0, trajectories end at x sigma_data / sqrt(sigma^2 + sigma_data^2)."""
    z_BCHW = torch.randn(50, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    calls = 0

    def network(x: Tensor, c_noise_B: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return torch.zeros_like(x)

    errors = []
    for num_steps in (1, 10, 20, 40):
        calls = 0
        levels = heun_levels(num_steps, 0.002, 80.0)
        found = sample_by_heun(network, z_BCHW, levels, SIGMA_DATA)
        assert calls == 2 * num_steps - 1 == Denoising(heun_steps=num_steps).num_evaluations
        exact = 80 * z_BCHW * SIGMA_DATA / math.hypot(80, SIGMA_DATA)
        errors.append((found - exact).norm().item() / exact.norm().item())
    assert errors[0] > 0.9  # the mean, of all images
    assert errors[3] < 0.012
    assert 3 < errors[1] / errors[2] < 6 and 3 < errors[2] / errors[3] < 6


def test_levels_of_one_step_and_of_many() -> None:
    assert heun_levels(1, 0.002, 80.0) == (80.0,)
    levels = heun_levels(18, 0.002, 80.0)
    assert (levels[0], levels[-1], len(levels)) == (80.0, 0.002, 18)
    assert levels[1] == pytest.approx(57.586, abs=1e-3)  # as NVlabs/edm computes it
    assert levels_for(SCHEDULE, 7, 100) == SCHEDULE.sampled_at
    assert levels_for(SCHEDULE, 1, 100) == (80.0,)


def test_a_diffusion_model_is_trained_measured_and_gone_on_with(
    worker: Callable[..., TrialWorker], tmp_path: Path
) -> None:
    def task(folder: str) -> TrialTask:
        return TrialTask(
            number=0, schedule=SCHEDULE.to_dict(), seed=1, rungs=(60, 120), folder=str(tmp_path / folder)
        )

    through, one, other = worker(), worker(), worker()
    through.begin(task("a"))
    first, last = through.advance(), through.advance()
    assert last.outcome == "complete"
    one.begin(task("b"))
    assert one.advance().reports[0]["objective"] == first.reports[0]["objective"]
    other.begin(task("b"))
    other.advance()  # what was reported
    resumed = other.advance()
    assert [report["objective"] for report in resumed.reports] == [
        report["objective"] for report in last.reports
    ]
    assert last.reports[1]["metrics"]["loss"] < last.reports[0]["metrics"]["loss"]


def test_an_export_says_what_is_denoised_and_how_it_is_sampled() -> None:
    document = trial_document(SCHEDULE, 100, "own", 0) | {
        "training": training_part(SCHEDULE, 100, 0.00054, SIGMA_DATA),
        "sampling": sampling_part(SCHEDULE, None),
    }
    assert document["sampling"]["sampler"] == HEUN
    assert document["sampling"]["steps"] == {"7": list(heun_levels(4, 0.002, 80.0))}
    assert set(document["training"]["stages"][0]["r"]) == {0.0}
    assert "gap" not in document["schedule"]
    loaded = load_schedule(json.loads(json.dumps(document)))
    assert loaded.schedule == SCHEDULE
    assert loaded.sampling is not None and loaded.sampling.steps == {7: SCHEDULE.sampled_at}
    for key, value in (("sampler", "another"), ("steps", {"8": list(SCHEDULE.sampled_at)})):
        changed = document | {"sampling": document["sampling"] | {key: value}}
        with pytest.raises(ValueError, match=r"sampling\.|sampler"):
            load_schedule(changed)


def test_other_ends_are_those_of_its_sampling() -> None:
    schedule = NoiseSchedule.denoising(LogNormal(), Ends(sigma_min=0.01, sigma_max=20.0))
    assert (schedule.sampled_at[0], schedule.sampled_at[-1]) == (20.0, 0.01)


def test_sampling_starts_below_the_highest_level_where_it_is_told_to(
    worker: Callable[..., TrialWorker], tmp_path: Path
) -> None:
    made = worker(total_steps=1)
    setting = made.setting
    schedule, sigma_data = PRESETS["ict"].schedule, setting.training.sigma_data
    trainer = Trainer(setting.network, setting.assets.images_NCHW, setting.training)
    trainer.sigma_start = 20.0
    trainer.begin(schedule, 1)
    trainer.train(1)
    z_SBCHW = torch.randn((1, 8, 1, 8, 8), generator=torch.Generator().manual_seed(stream_seed("samples", 5)))
    with torch.no_grad():
        expected = sample(trainer.averaged(), z_SBCHW, (20.0,), 0.002, sigma_data)
    torch.testing.assert_close(trainer.sample(8, seed=5), expected)
    assert levels_for(schedule, 1, 100, 20.0) == (20.0,)
    assert levels_for(schedule, 2, 100, 20.0) == pytest.approx((20.0, 0.821))
    assert levels_for(SCHEDULE, 7, 100, 20.0) == heun_levels(4, 0.002, 20.0) == SCHEDULE.sampled_from(20.0)
    levels_N = levels_up_to(schedule, 100, 20.0)
    assert levels_N[-1] == 20.0 and bool((levels_N.diff() > 0).all())
    whole, started = TrialWorker(setting), TrialWorker(replace(setting, sigma_start=20.0))
    values = []
    for number, each in enumerate((whole, started)):
        each.begin(
            TrialTask(
                number=number,
                schedule=schedule.to_dict(),
                seed=1,
                rungs=(1,),
                folder=str(tmp_path / f"{number}"),
            )
        )
        values.append(each.advance().reports[0]["objective"])
    assert values[0] != values[1]
