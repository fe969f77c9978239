"""--format onetrainer: OneTrainer's own draw with the exported settings has the schedule's law."""

import json
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from search.errors import InputError
from search.export_format import FORMATS
from search.exports import onetrainer
from search.exports._nearest_law import Trained
from spaces import NOISE, KarrasGrid, NoiseSchedule
from spaces.curricula.constant import Constant
from spaces.noise.lognormal import LogNormal
from tests.search.test_export_formats import document

NUM = 200_000


def settings(schedule: NoiseSchedule) -> dict[str, Any]:
    rendered = FORMATS.build("onetrainer").render(document(schedule=schedule))
    found: dict[str, Any] = json.loads(rendered.files["onetrainer.json"])
    assert (found["min_noising_strength"], found["max_noising_strength"]) == (0.0, 1.0)
    return found


def drawn(given: dict[str, Any]) -> np.ndarray:
    """ln sigma, by _get_timestep_discrete with 1000 timesteps, and sigma = (timestep + 1) / 1000 of a flow."""
    rng = np.random.default_rng(0)
    weight, bias, s = (given[key] for key in ("noising_weight", "noising_bias", "timestep_shift"))
    kind, u = given["timestep_distribution"], rng.uniform(size=NUM)
    if kind in ("COS_MAP", "SIGMOID", "INVERTED_PARABOLA"):
        t = rng.choice(1000, NUM, p=_weights(kind, weight, bias, s)) / 1000
    else:
        x = {
            "UNIFORM": lambda: u,
            "LOGIT_NORMAL": lambda: expit(rng.normal(bias, weight + 1, NUM)),
            "HEAVY_TAIL": lambda: 1 - u - weight * (np.cos(np.pi / 2 * u) ** 2 - 1 + u),
            "BETA": lambda: rng.beta(weight, bias, NUM),
        }[kind]()
        t = s * x / ((s - 1) * x + 1)
    t = (np.floor(t * 1000) + 1) / 1000
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(t / (1 - t)))


def _weights(kind: str, weight: float, bias: float, s: float) -> np.ndarray:
    """Of its 1000 timesteps: the density before the shift, times the derivative of that."""
    line = np.linspace(0, 1, 1000)
    x, slope = line / (s - s * line + line), s / (s + line - line * s) ** 2
    of = {
        "COS_MAP": lambda: 2 / (np.pi - 2 * np.pi * x + 2 * np.pi * x**2),
        "SIGMOID": lambda: expit(weight * (x / (s - s * x + x) - bias - 0.5)),
        "INVERTED_PARABOLA": lambda: np.maximum(2 - weight * (x - bias - 0.5) ** 2, 0),
    }[kind]() * slope
    return np.asarray(of / of.sum())


def law_of(noise: Any, **options: Any) -> NoiseSchedule:
    grid = KarrasGrid(sigma_min=0.002, sigma_max=80.0)
    return NoiseSchedule(grid=grid, noise=noise, curriculum=Constant(levels=300), **options)


@pytest.mark.parametrize(
    ("noise", "kind"),
    [
        (LogNormal(p_mean=-0.5, p_std=1.2), "LOGIT_NORMAL"),
        (LogNormal(p_mean=0.4, p_std=0.7), "LOGIT_NORMAL"),
        (NOISE["cosine"](), "COS_MAP"),
        (NOISE["cosine_shifted"](mu=0.5), "COS_MAP"),
    ],
)
def test_its_draw_has_the_schedules_law(noise: Any, kind: str) -> None:
    schedule = law_of(noise)
    given = settings(schedule)
    assert given["timestep_distribution"] == kind
    ln_sigma = np.sort(drawn(given))
    edges = np.linspace(math.log(0.002), math.log(80.0), 400)
    below = np.concatenate([[0], np.cumsum(schedule.stages(2000)[-1].mass(edges))])
    for u in (0.1, 0.3, 0.5, 0.7, 0.9):
        wanted = float(np.interp(u, below, edges))
        sigma = math.exp(wanted)
        rounding = 2 * (1 + sigma) ** 2 / (1000 * sigma)  # d ln sigma of two timesteps
        # The total variation that is allowed, and 6 standard deviations.
        slack = 0.01 + 6 * 0.5 / math.sqrt(NUM)
        assert np.searchsorted(ln_sigma, wanted + rounding) / NUM >= u - slack
        assert np.searchsorted(ln_sigma, wanted - rounding) / NUM <= u + slack


def test_a_lognormal_is_a_logit_normal_with_its_own_mean_and_std() -> None:
    given = settings(law_of(LogNormal(p_mean=-0.5, p_std=1.2)))
    assert given["noising_bias"] == -0.5
    assert given["noising_weight"] == pytest.approx(0.2)
    assert (given["timestep_shift"], given["dynamic_timestep_shifting"]) == (1.0, False)


def test_the_cosine_law_is_cos_map_shifted_by_sigma_data() -> None:
    """A known answer: sigma = sigma_data tan(pi u / 2), and t = tan / (1 + tan) is SD3's cosmap."""
    assert settings(law_of(NOISE["cosine"]()))["timestep_shift"] == pytest.approx(0.5, rel=0.02)


@pytest.mark.parametrize(
    ("kind", "options", "weight", "bias", "shift"),
    [
        ("UNIFORM", [], 0.0, 0.0, 2.0),
        ("HEAVY_TAIL", [0.3], 0.375 + 1.374 * math.tanh(0.3), 0.0, 1.0),
        ("BETA", [0.5, 0.2], math.exp(0.5), math.exp(0.2), 1.5),
        ("SIGMOID", [4.0, 0.1], 4.0, 0.1, 1.0),
        ("INVERTED_PARABOLA", [6.0, -0.1], 6.0, -0.1, 1.0),
    ],
)
def test_what_is_fitted_is_what_it_draws(
    kind: str, options: list[float], weight: float, bias: float, shift: float
) -> None:
    family = onetrainer.FAMILIES[kind]
    assert family.settings(options) == pytest.approx((weight, bias))
    given = {
        "timestep_distribution": kind,
        "noising_weight": weight,
        "noising_bias": bias,
        "timestep_shift": shift,
    }
    ln_sigma = np.sort(drawn(given))
    for x in (-1.5, -0.5, 0.0, 0.5, 1.5):
        stated = float(family.cdf(expit(np.array([x - math.log(shift)])), options)[0])
        rounding = 2 * (1 + math.exp(x)) ** 2 / (1000 * math.exp(x))
        assert np.searchsorted(ln_sigma, x + rounding) / NUM >= stated - 0.007
        assert np.searchsorted(ln_sigma, x - rounding) / NUM <= stated + 0.007


def test_the_mode_distribution_is_found_again() -> None:
    """Of a schedule with its law, tabulated, the nearest is itself."""
    family = onetrainer.FAMILIES["HEAVY_TAIL"]
    trained = Trained(law_of(NOISE["uniform"]()), 100)
    trained.mass_M = np.diff(family.cdf(expit(trained.ln_sigma_L - 0.7), [0.4]))
    trained.mass_M /= trained.mass_M.sum()
    found, variation = onetrainer.nearest_of(trained, "HEAVY_TAIL", family)
    assert variation < 0.02
    assert found["timestep_shift"] == pytest.approx(math.exp(0.7), rel=0.05)


@pytest.mark.parametrize("noise", ["logsnr_laplace", "log_uniform", "logsnr_cauchy"])
def test_another_law_is_refused_with_the_nearest_and_how_far_it_is(noise: str) -> None:
    schedule = law_of(NOISE[noise]())
    with pytest.raises(InputError) as caught:
        settings(schedule)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(
        "onetrainer draws LOGIT_NORMAL, UNIFORM, COS_MAP, HEAVY_TAIL, BETA, SIGMOID, INVERTED_PARABOLA"
    )
    stated = float(line.partition("total variation ")[2].partition(",")[0])
    # No normal is nearer.
    levels = np.linspace(math.log(0.002), math.log(80.0), 121)
    mass, middle = schedule.stages(2000)[-1].mass(levels), (levels[1:] + levels[:-1]) / 2
    mean = float(mass @ middle)
    for std in np.linspace(0.1, 3, 30):
        normal = np.diff(stats.norm.cdf(levels, mean, std))
        assert np.maximum(mass - normal, 0).sum() > stated - 0.015


def test_the_levels_to_sample_at_come_out_of_the_schedulers_shift() -> None:
    rendered = FORMATS.build({"name": "onetrainer", "shift": 2.0}).render(document())
    for n, positions in json.loads(rendered.files["sigmas.json"]).items():
        t = [2 * s / (1 + s) for s in positions]
        assert [s / (1 - s) for s in t] == pytest.approx(rendered.wanted[int(n)], rel=1e-9)
