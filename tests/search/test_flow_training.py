"""--format flow-training: the scripts' own draw with the exported flags has the schedule's law."""

import argparse
import json
import math
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from search.errors import InputError
from search.export_format import FORMATS, README
from search.exports import _nearest_law
from search.exports._nearest_law import Trained
from spaces import GAPS, NOISE, PRESETS, KarrasGrid, NoiseSchedule
from spaces.curricula.constant import Constant
from spaces.noise.lognormal import LogNormal
from spaces.noise.uniform import Uniform
from tests.search.test_export_formats import document

DIGITS = Path(__file__).resolve().parents[2] / "docs/digits_winner.json"


def exported(text: str) -> dict[str, Any]:
    """The flags as the scripts' own parser takes them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--weighting_scheme", default="none")
    parser.add_argument("--logit_mean", type=float, default=0.0)
    parser.add_argument("--logit_std", type=float, default=1.0)
    parser.add_argument("--timestep_sampling", default="sigma")
    parser.add_argument("--discrete_flow_shift", type=float)
    return vars(parser.parse_args(shlex.split(text)))


def drawn(flags: dict[str, Any], shift: float, num: int, seed: int) -> np.ndarray:
    """sigma of each draw, by what the scripts do: u, its place in falling timesteps, t, t / (1 - t)."""
    timesteps = np.linspace(1, 1000, 1000)[::-1] / 1000
    timesteps = shift * timesteps / (1 + (shift - 1) * timesteps)
    u = expit(np.random.default_rng(seed).normal(flags["logit_mean"], flags["logit_std"], num))
    t = timesteps[(u * 1000).astype(int)]
    with np.errstate(divide="ignore"):
        return np.asarray(t / (1 - t))


@pytest.mark.parametrize("shift", [0.5, 1.0, 3.0])
@pytest.mark.parametrize(("p_mean", "p_std"), [(-1.2, 1.2), (0.4, 1.0), (-0.4, 0.7)])
def test_the_scripts_draw_has_the_schedules_law(shift: float, p_mean: float, p_std: float) -> None:
    target = FORMATS.build({"name": "flow_training", "shift": shift})
    files = target.render(document(noise=LogNormal(p_mean=p_mean, p_std=p_std))).files
    flags = exported(files["flags_diffusers.txt"])
    assert flags["weighting_scheme"] == "logit_normal"
    assert f"it is trained with {files['flags_diffusers.txt']}" in files[README]
    ln_sigma = np.log(drawn(flags, shift, 200_000, seed=0))
    # Rounding to a timestep moves a level by less than 1000 timesteps are apart in the middle of the law.
    for u in (0.2, 0.5, 0.8, 0.95):
        wanted = p_mean + p_std * stats.norm.ppf(u)
        sigma = math.exp(wanted)
        rounding = (sigma + shift) ** 2 / (1000 * shift * sigma)  # d ln sigma of a timestep
        assert np.mean(ln_sigma <= wanted + rounding) >= u - 0.006  # 6 standard deviations
        assert np.mean(ln_sigma <= wanted - rounding) <= u + 0.006


def test_kohyas_flags_are_those_of_diffusers_with_its_own() -> None:
    files = FORMATS.build({"name": "flow_training", "shift": 2.5}).render(document()).files
    kohya, diffusers = exported(files["flags_kohya.txt"]), exported(files["flags_diffusers.txt"])
    assert (kohya["timestep_sampling"], kohya["discrete_flow_shift"]) == ("sigma", 2.5)
    for flag in ("weighting_scheme", "logit_mean", "logit_std"):
        assert kohya[flag] == diffusers[flag]


# But for one whose curriculum draws otherwise at the end.
LOGNORMAL = [
    name
    for name, preset in PRESETS.items()
    if isinstance(preset.schedule.noise, LogNormal) and name != "xu_timesteps" and not preset.schedule.adapts
]


@pytest.mark.parametrize("name", LOGNORMAL)
def test_a_lognormal_keeps_its_own_parameters(name: str) -> None:
    schedule = PRESETS[name].schedule
    flags = exported(
        FORMATS.build("flow_training")
        .render(document({1: (80.0,)}, schedule=schedule))
        .files["flags_diffusers.txt"]
    )
    noise = schedule.noise
    assert isinstance(noise, LogNormal)
    assert flags["logit_mean"] == pytest.approx(math.log(3) - noise.p_mean, rel=1e-5)
    assert flags["logit_std"] == pytest.approx(noise.p_std, rel=1e-5)


def schedule_with(noise: Any, **options: float) -> NoiseSchedule:
    grid = {"sigma_min": options.pop("sigma_min", 0.002), "sigma_max": options.pop("sigma_max", 80.0)}
    return NoiseSchedule(grid=KarrasGrid(**grid), noise=noise, curriculum=Constant(levels=200), **options)


@pytest.mark.parametrize(
    "schedule",
    [
        schedule_with(Uniform()),
        schedule_with(NOISE["logsnr_laplace"]()),
        schedule_with(NOISE["log_uniform"]()),
        schedule_with(LogNormal(), uniform_floor=0.1),
        schedule_with(LogNormal(), sigma_max=3.0),
        NoiseSchedule.continuous(NOISE["logsnr_cauchy"](), GAPS["ect"]()),
    ],
    ids=["uniform", "laplace", "log_uniform", "floor", "cut off", "continuous"],
)
def test_what_is_no_lognormal_is_refused_with_the_nearest_and_how_far_it_is(schedule: NoiseSchedule) -> None:
    with pytest.raises(InputError) as caught:
        FORMATS.build("flow_training").render(schedule.to_dict())
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith("flow-training draws a logit-normal, but the schedule's law is ")
    flags = exported(line.partition("`")[2].partition("`")[0])
    stated = float(line.partition("total variation ")[2].partition(",")[0])
    mean, std = math.log(3) - flags["logit_mean"], flags["logit_std"]
    # By other means: the largest difference of the two measures, over the sets where one density is above the other.
    assert stated == pytest.approx(total_variation(schedule, mean, std), abs=0.012)
    for other in ((mean + 0.1, std), (mean - 0.1, std), (mean, std * 1.1), (mean, std / 1.1)):
        assert total_variation(schedule, *other) > stated - 0.012


def total_variation(schedule: NoiseSchedule, mean: float, std: float) -> float:
    """Sum over 60 cells of what the law has more than the normal: a lower bound, close for smooth laws."""
    edges = np.linspace(math.log(schedule.grid.sigma_min), math.log(schedule.grid.sigma_max), 61)
    mass = schedule.stages(2000)[-1].mass(edges)
    return float(np.maximum(mass - np.diff(stats.norm.cdf(edges, mean, std)), 0).sum())


def test_the_nearest_of_a_truncated_normal_is_itself_where_little_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    schedule = schedule_with(LogNormal(p_mean=-1.0, p_std=1.0))
    assert Trained(schedule, 100).normal()[:2] == (-1.0, 1.0)
    monkeypatch.setattr(_nearest_law, "ENOUGH", -1.0)  # as if it were any other law
    found = Trained(schedule, 100).normal()
    assert (found.mean, found.std) == (pytest.approx(-1.0, abs=1e-3), pytest.approx(1.0, abs=1e-3))
    assert found.total_variation < 1e-3


def test_the_winner_of_the_digits_is_refused_in_words_that_help() -> None:
    with pytest.raises(
        InputError, match=r"total variation 0\.014, where 0\.01 is allowed\. .*--format torch"
    ):
        FORMATS.build("flow_training").render(json.loads(DIGITS.read_text()))


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_the_levels_to_sample_at_come_out_of_the_shift(shift: float) -> None:
    rendered = FORMATS.build({"name": "flow_training", "shift": shift}).render(document())
    for n, positions in json.loads(rendered.files["sigmas.json"]).items():
        t = [shift * s / (1 + (shift - 1) * s) for s in positions]
        assert [s / (1 - s) for s in t] == pytest.approx(rendered.wanted[int(n)], rel=1e-9)
