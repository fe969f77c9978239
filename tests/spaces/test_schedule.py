import copy
import dataclasses
import itertools
import json
import pickle
import random
import time
from typing import Any

import numpy as np
import pytest
import torch

from spaces import PRESETS, KarrasGrid, NoiseSchedule
from spaces.curricula.constant import Constant
from spaces.curricula.exponential import Exponential
from spaces.curricula.sinusoidal import Sinusoidal
from spaces.curricula.snr_timestep import SNRTimestep
from spaces.noise.lognormal import LogNormal
from spaces.noise.logsnr_laplace import LogSNRLaplace
from spaces.noise.uniform import Uniform

ICT = NoiseSchedule(grid=KarrasGrid(), noise=LogNormal(), curriculum=Exponential())


def test_ict_starts_with_11_levels_and_its_stages_cover_the_budget() -> None:
    stages = ICT.stages(2000)
    assert [stage.start_step for stage in stages] == [0, 250, 500, 750, 1000, 1250, 1500, 1750]
    assert [stage.num_levels for stage in stages] == [11, 21, 41, 81, 161, 321, 641, 1281]
    for stage in stages:
        assert torch.equal(stage.sigma_N, ICT.grid.sigmas(stage.num_levels))
        assert torch.equal(stage.probability_M, ICT.noise.interval_probabilities(stage.sigma_N))


def test_stages_are_the_curriculum_run_length_encoded() -> None:
    schedule = NoiseSchedule(
        grid=KarrasGrid(), noise=Uniform(), curriculum=Sinusoidal(period=1.0, delta=0.0, s1=100)
    )
    stages = schedule.stages(500)
    expected = schedule.curriculum.num_levels(np.arange(500, dtype=np.int64), 500)
    starts = [*(stage.start_step for stage in stages), 500]
    levels = [stage.num_levels for stage in stages]
    assert np.repeat(levels, np.diff(starts)).tolist() == expected.tolist()
    assert all(before != after for before, after in itertools.pairwise(levels))
    by_n = {stage.num_levels: stage.levels for stage in stages}
    assert all(stage.levels is by_n[stage.num_levels] for stage in stages)  # built once per N


def test_stages_are_cheap_and_kept() -> None:
    schedule = NoiseSchedule(grid=KarrasGrid(rho=6.5), noise=LogNormal(), curriculum=Exponential())
    start = time.perf_counter()
    stages = schedule.stages(2000)
    assert time.perf_counter() - start < 1.0  # measured 2 ms; room for a busy machine
    assert schedule.stages(2000) is stages
    with pytest.raises(ValueError, match="total_steps >= 1"):
        schedule.stages(0)


def test_equal_schedules_hash_equal_and_pickle_and_survive_json() -> None:
    for schedule in [ICT, *(preset.schedule for preset in PRESETS.values())]:
        again = NoiseSchedule.from_dict(json.loads(json.dumps(schedule.to_dict())))
        assert again == schedule
        assert len({again, schedule, pickle.loads(pickle.dumps(schedule))}) == 1
    assert NoiseSchedule(grid=KarrasGrid(), noise=Uniform(), curriculum=Exponential()) != ICT


def test_json_written_before_grids_had_names_and_schedules_a_floor_is_read() -> None:
    old = {
        "grid": {"sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0},
        "noise": {"name": "lognormal", "p_mean": -1.1, "p_std": 2.0},
        "curriculum": {"name": "exponential", "s0": 10, "doublings": 7, "s1": None},
    }
    assert NoiseSchedule.from_dict(old) == ICT
    assert ICT.to_dict() == {**old, "grid": {"name": "karras", **old["grid"]}, "uniform_floor": 0.0}


def test_the_floor_mixes_the_uniform_distribution_in() -> None:
    floored = dataclasses.replace(ICT, uniform_floor=0.05)
    for stage, plain in zip(floored.stages(2000), ICT.stages(2000), strict=True):
        num_intervals = stage.num_levels - 1
        expected_M = 0.95 * plain.probability_M + 0.05 / num_intervals
        torch.testing.assert_close(stage.probability_M, expected_M, rtol=0, atol=1e-15)
        assert stage.probability_M.min().item() >= 0.05 / num_intervals
        assert stage.probability_M.sum().item() == pytest.approx(1.0, abs=1e-12)
    assert NoiseSchedule.from_dict(json.loads(json.dumps(floored.to_dict()))) == floored != ICT
    assert floored.describe().startswith("lognormal(p_mean=-1.1, p_std=2) floor=0.05 rho=7 exponential(")


def test_a_new_phase_is_a_new_stage_with_the_curriculums_probabilities() -> None:
    curriculum = SNRTimestep(levels=20)
    schedule = NoiseSchedule(grid=KarrasGrid(), noise=LogNormal(), curriculum=curriculum, uniform_floor=0.1)
    stages = schedule.stages(64)
    assert [stage.start_step for stage in stages] == list(range(0, 64, 2))
    plain_M = 0.9 * LogNormal().interval_probabilities(KarrasGrid().sigmas(20)) + 0.1 / 19
    for phase, stage in enumerate(stages):
        assert stage.phase == phase
        assert stage.levels is stages[0].levels
        assert torch.equal(stage.probability_M, curriculum.reweighted(plain_M, phase))
        assert torch.equal(schedule.probabilities(stage), stage.probability_M)


def test_describe_is_one_short_line() -> None:
    schedule = NoiseSchedule(
        grid=KarrasGrid(rho=5.0468),
        noise=LogSNRLaplace(mu=-1.47, b=1.12),
        curriculum=Exponential(s0=10, doublings=6),
    )
    assert schedule.describe() == "logsnr_laplace(mu=-1.47, b=1.12) rho=5.047 exponential(s0=10, doublings=6)"


def edited(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(ICT.to_dict()), **changes}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "A schedule needs a mapping"),
        (
            {},
            "A schedule needs grid, noise, curriculum and may have uniform_floor, gap, weight, loss, but got nothing",
        ),
        (edited(extra=1), "but got curriculum, extra, grid, noise, uniform_floor"),
        (edited(noise="lognormal"), "noise: a mapping is needed, but got 'lognormal'"),
        (edited(noise={"name": "lognorml"}), "noise: Unknown noise family 'lognorml'. Known: "),
        (edited(noise={"p_mean": 1.0}), "noise: A noise family needs a `name`"),
        (edited(noise={"name": "lognormal", "p_std": "2"}), "noise.p_std: input should be a valid number"),
        (edited(noise={"name": "lognormal", "std": 2.0}), "noise.std: unknown option"),
        (edited(noise={"name": "lognormal", "p_std": 0.0}), "noise: `0.001 <= p_std <= 1000` must hold"),
        (edited(noise={"name": "lognormal", "p_std": float("nan")}), "noise.p_std: input should be a finite"),
        (edited(grid={"rho": True}), "grid.rho: input should be a valid number, but got True"),
        (edited(grid={"name": "karas"}), "grid: Unknown grid 'karas'. Known: karras, karras_master"),
        (edited(grid={"name": 7}), "grid: A grid needs a `name`"),
        (
            edited(grid={"name": "karras_master", "levels": 1280}),
            "needs up to 1281 levels, but karras_master has 1280",
        ),
        (edited(uniform_floor="0.1"), "uniform_floor: input should be a valid number, but got '0.1'"),
        (edited(uniform_floor=None), "uniform_floor: input should be a valid number, but got None"),
        (edited(uniform_floor=float("nan")), "uniform_floor: input should be a finite number"),
        (edited(uniform_floor=1), "`0 <= uniform_floor < 1` must hold, but got uniform_floor=1.0"),
        (edited(uniform_floor=-0.1), "`0 <= uniform_floor < 1` must hold, but got uniform_floor=-0.1"),
        (edited(curriculum={"name": "constant", "levels": 20.5}), "curriculum.levels: input should be"),
        (edited(curriculum={"name": "constant", "levels": 10**5000}), "curriculum"),
        (edited(noise={"name": "lognormal", "p_std": {1, 2}}), "noise: plain values are needed"),
    ],
)
def test_bad_input_is_refused_in_one_line_with_its_place(data: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        NoiseSchedule.from_dict(data)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_thousand_mutations_give_a_valid_schedule_or_a_value_error() -> None:
    rng = random.Random(0)
    junk: list[Any] = [None, True, -1, 0, 10**400, 1e308, float("inf"), "x", "", [], {}, [[1]], {"name": 1}]
    for _ in range(1000):
        data = copy.deepcopy(rng.choice(list(PRESETS.values())).schedule.to_dict())
        part = rng.choice([data, *(part for part in data.values() if isinstance(part, dict))])
        key = rng.choice([*part, "name", "other"])
        if rng.random() < 0.2:
            part.pop(key, None)
        else:
            part[key] = rng.choice(junk)
        message = ""
        try:
            stages = NoiseSchedule.from_dict(data).stages(20)
        except ValueError as error:
            stages, message = (), str(error)
        assert "\n" not in message
        assert all(abs(stage.probability_M.sum().item() - 1) < 1e-12 for stage in stages)


def float32_losses(sigma_min: float, num_levels: int) -> float:
    """Share of images' values in the lowest interval whose two noisy versions are one in float32."""
    r, t = KarrasGrid(sigma_min=sigma_min).sigmas(num_levels)[:2].float()
    generator = torch.Generator().manual_seed(0)
    x, z = torch.rand(100_000, generator=generator) * 2 - 1, torch.randn(100_000, generator=generator)
    return (x + t * z == x + r * z).float().mean().item()


@pytest.mark.parametrize(
    ("sigma_min", "num_levels", "is_lost"),
    [(1e-6, 16385, True), (1e-6, 1281, False), (2e-3, 16385, False)],
)
def test_levels_that_float32_cannot_tell_apart_are_refused(
    sigma_min: float, num_levels: int, is_lost: bool
) -> None:
    def build() -> NoiseSchedule:
        return NoiseSchedule(
            grid=KarrasGrid(sigma_min=sigma_min), noise=LogNormal(), curriculum=Constant(levels=num_levels)
        )

    assert (float32_losses(sigma_min, num_levels) > 0.5) is is_lost
    if not is_lost:
        build()
        return
    with pytest.raises(
        ValueError, match=r"levels of .*sigma_min=1e-06 are too close with 16385 of them"
    ) as refused:
        build()
    assert "\n" not in str(refused.value)
