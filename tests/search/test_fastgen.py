"""--format fastgen: FastGen's own draw and its own gap, with the exported overrides, are those of the schedule."""

import copy
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from search.errors import InputError
from search.export_format import FORMATS, README
from search.exports import fastgen
from search.exports._nearest_gap import nearest_ect
from spaces import GAPS, LOSSES, NOISE, PRESETS, WEIGHTS, KarrasGrid, NoiseSchedule
from spaces.curricula.constant import Constant
from spaces.noise.lognormal import LogNormal
from tests.search.test_export_formats import document

LEVELS = (0.002, 80.0)


def overrides(schedule: NoiseSchedule, **options: Any) -> dict[str, Any]:
    """What is written, by its key, numbers as such."""
    text = (
        FORMATS.build({"name": "fastgen", **options})
        .render(document(schedule=schedule))
        .files["overrides.txt"]
    )
    pairs = (line.split("=") for line in text.splitlines())
    return {key.rpartition(".")[2]: _number(value) for key, value in pairs}


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def drawn(given: dict[str, Any], num: int) -> np.ndarray:
    """EDMNoiseSchedule.sample_t: of a u between the two ends' cdf, the quantile; or one of 1000 levels."""
    rng = np.random.default_rng(0)
    low, high = math.log(given["min_t"]), math.log(given["max_t"])
    if given["time_dist_type"] == "polynomial":
        ramp = np.linspace(given["max_t"] ** (1 / 7), given["min_t"] ** (1 / 7), 1000) ** 7
        return np.asarray(ramp[::-1][rng.integers(2, 999, num)])
    mean, std = given["train_p_mean"], given["train_p_std"]
    law = stats.norm(mean, std)
    if given["time_dist_type"] == "log_t":
        law = stats.t(given["log_t_df"], mean, std)
    return np.asarray(np.exp(law.ppf(rng.uniform(law.cdf(low), law.cdf(high), num))))


def law_of(noise: Any, **options: Any) -> NoiseSchedule:
    grid = KarrasGrid(sigma_min=LEVELS[0], sigma_max=LEVELS[1])
    return NoiseSchedule(grid=grid, noise=noise, curriculum=Constant(levels=300), **options)


@pytest.mark.parametrize(
    ("noise", "kind"),
    [
        (LogNormal(p_mean=-0.8, p_std=1.6), "lognormal"),
        (LogNormal(p_mean=2.0, p_std=3.0), "lognormal"),  # cut off at 80: so it is there
        (NOISE["logsnr_cauchy"](mu=-1.0, gamma=0.8), "log_t"),
        (NOISE["cosine"](), "log_t"),
        (NOISE["uniform"](), "lognormal"),  # nearer than its own polynomial, which leaves out both ends
    ],
)
def test_its_draw_has_the_schedules_law(noise: Any, kind: str) -> None:
    schedule = law_of(noise)
    given = overrides(schedule)
    assert given["time_dist_type"] == kind
    levels = np.linspace(math.log(LEVELS[0]), math.log(LEVELS[1]), 41)
    expected = np.cumsum(schedule.stages(100)[-1].mass(levels))
    found = np.searchsorted(np.sort(np.log(drawn(given, 100_000))), levels[1:]) / 100_000
    # The total variation that is allowed, and 6 standard deviations.
    assert np.abs(found - expected).max() < 0.01 + 6 * 0.5 / math.sqrt(100_000)


def test_its_other_draws_are_what_is_compared() -> None:
    """Evenly among the levels of a grid without its ends, and evenly in sigma."""
    levels = np.linspace(math.log(LEVELS[0]), math.log(LEVELS[1]), 201)
    ends = {"min_t": LEVELS[0], "max_t": LEVELS[1]}
    ln_sigma = np.sort(np.log(drawn({"time_dist_type": "polynomial", **ends}, 100_000)))
    found = np.searchsorted(ln_sigma, levels, side="right") / 100_000
    assert np.abs(found - fastgen.polynomial(levels, ())).max() < 1 / 997 + 6 * 0.5 / math.sqrt(100_000)
    uniform = fastgen.uniform(levels, ())
    share = (uniform - uniform[0]) / (uniform[-1] - uniform[0])
    assert share[100] == pytest.approx((0.4 - 0.002) / (80 - 0.002), rel=1e-9)


def test_a_cauchy_law_is_student_t_with_one_degree_of_freedom() -> None:
    """A known answer: ln sigma = ln sigma_data - logSNR / 2."""
    given = overrides(law_of(NOISE["logsnr_cauchy"](mu=-1.0, gamma=0.8)))
    assert given["train_p_mean"] == pytest.approx(math.log(0.5) + 0.5, abs=2e-3)
    assert given["train_p_std"] == pytest.approx(0.4, rel=5e-3)
    assert given["log_t_df"] == pytest.approx(1.0, rel=1e-2)


@pytest.mark.parametrize(
    "schedule",
    [law_of(NOISE["logsnr_laplace"](b=1.0)), law_of(LogNormal(p_std=0.5), uniform_floor=0.15)],
    ids=["laplace", "floor"],
)
def test_another_law_is_refused_with_the_nearest_and_how_far_it_is(schedule: NoiseSchedule) -> None:
    with pytest.raises(InputError) as caught:
        overrides(schedule)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(
        "fastgen draws a lognormal, polynomial, uniform or Student t law, but the schedule's law"
    )
    nearest = dict(word.split("=") for word in line.partition("`")[2].partition("`")[0].split())
    given = {key: _number(value) for key, value in nearest.items()}
    stated = float(line.partition("total variation ")[2].partition(",")[0])
    levels = np.linspace(math.log(LEVELS[0]), math.log(LEVELS[1]), 121)
    expected = schedule.stages(2000)[-1].mass(levels)
    found = np.histogram(np.log(drawn(given, 400_000)), levels)[0] / 400_000
    assert stated == pytest.approx(np.abs(found - expected).sum() / 2, abs=0.015)


# The gap.


def ratio_of(given: dict[str, Any], step: int, batch_size: int) -> float:
    """CTScheduleCallback, after the update at the end of the step before."""
    stage = step * batch_size // (given["kimg_per_stage"] * 1000)
    return float(min(1 - 1 / given["q"] ** (stage + 1), given["ratio_limit"]))


def teacher(given: dict[str, Any], t: np.ndarray, ratio: float) -> np.ndarray:
    """t_to_r_sigmoid."""
    return np.maximum(t - t * (1 - ratio) * (1 + 8 / (1 + np.exp(t))), given["min_r"])


@pytest.mark.parametrize(
    "gap", [GAPS["ect"](), GAPS["ect"](q=1.7, num_stages=3), GAPS["ect"](q=4096, num_stages=1)]
)
def test_its_teacher_is_the_schedules_in_every_stage(gap: Any) -> None:
    schedule = NoiseSchedule.continuous(LogNormal(), gap)
    given = overrides(schedule, parts="all", batch_size=48)
    for step in range(0, 100, 3):
        stage = [stage for stage in schedule.stages(100) if stage.start_step <= step][-1]
        pairs = schedule.pairs(stage, 0.5)
        assert teacher(given, pairs.t_M, ratio_of(given, step, 48)) == pytest.approx(pairs.r_M, rel=1e-9)


def test_weight_and_loss_are_its_own_words() -> None:
    for name, word in (("inverse_gap", "default"), ("edm", "c_out_sq"), ("uniform", "one")):
        schedule = NoiseSchedule.continuous(
            LogNormal(), GAPS["ect"](), weight=WEIGHTS[name](), loss=LOSSES["squared_l2"]()
        )
        given = overrides(schedule, parts="all", batch_size=8)
        assert given["weighting_ct_loss"] == word
        assert (given["huber_const"], given["use_squared_l2"]) == (0.0, "True")
    huber = FORMATS.build({"name": "fastgen", "parts": "all", "batch_size": 8})
    readme = huber.render(document(schedule=NoiseSchedule.continuous(LogNormal(), GAPS["ect"]()))).files[
        README
    ]
    assert "huber_const is 0.00054 sqrt(values of an image), 0.02993 for 3x32x32" in readme


def test_how_many_images_a_step_has_is_that_of_the_search() -> None:
    found = document(schedule=PRESETS["ect"].schedule)
    with pytest.raises(InputError, match=r"how many a step has is not known .* --batch-size"):
        FORMATS.build({"name": "fastgen", "parts": "all"}).render(found)
    found["searched_at"] = {"network": None, "training": {"batch_size": 640}, "data": "digits"}
    text = FORMATS.build({"name": "fastgen", "parts": "all"}).render(found).files["overrides.txt"]
    assert "kimg_per_stage=8\n" in text  # 100 steps in 8 stages


@pytest.mark.parametrize("gap", ["adjacent", "constant_ratio"])
def test_another_gap_is_refused_with_the_nearest_and_how_far_it_is(gap: str) -> None:
    schedule = law_of(LogNormal())
    if gap != "adjacent":
        schedule = NoiseSchedule.continuous(LogNormal(), GAPS[gap]())
    with pytest.raises(InputError) as caught:
        overrides(schedule, parts="all", batch_size=8)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(f"fastgen has the gap of ECT with k=8 and b=1 alone, but the schedule's is {gap}")
    assert "total variation" in line and "leave out --parts all" in line
    assert overrides(schedule)["time_dist_type"] == "lognormal"


def test_the_nearest_gap_of_ects_own_is_itself() -> None:
    schedule = NoiseSchedule.continuous(LogNormal(), GAPS["ect"](q=3.0, num_stages=4))
    shrinking, variation = nearest_ect(schedule, 100)
    assert shrinking == pytest.approx(81, rel=0.02)
    assert variation < 0.05


def test_a_weight_that_it_has_not_and_an_unknown_part_are_refused() -> None:
    schedule = NoiseSchedule.continuous(LogNormal(), GAPS["ect"](), weight=WEIGHTS["inverse_t"]())
    with pytest.raises(
        InputError, match=r"has the weights of inverse_gap, .* but the schedule's is inverse_t"
    ):
        overrides(schedule, parts="all", batch_size=8)
    with pytest.raises(ValueError, match="`parts` must be law or all, but got 'some'"):
        FORMATS.build({"name": "fastgen", "parts": "some"})
    with pytest.raises(InputError, match="needs the stages of an export"):
        FORMATS.build({"name": "fastgen", "parts": "all", "batch_size": 8}).render(
            PRESETS["ect"].schedule.to_dict()
        )


def test_the_levels_to_sample_at_end_in_0() -> None:
    rendered = FORMATS.build("fastgen").render(copy.deepcopy(document()), nfe=(2,))
    (line,) = rendered.files["overrides_nfe2.txt"].splitlines()
    assert line == "model.student_sample_steps=2 model.sample_t_cfg.t_list=[80.0,0.821,0.0]"
    assert line in rendered.calls[2]
