"""Every preset in spaces/presets/, the ones dropped in later included, keeps these promises."""

from typing import Any

import numpy as np
import pytest

from search.contracts._promise import Promise
from search.contracts.presets import PROMISES
from spaces import PRESETS
from spaces.equality import distances, features

every_preset = pytest.mark.parametrize("name", list(PRESETS))


@every_preset
def test_is_named_after_its_file_cited_and_says_how_far_it_was_verified(name: str) -> None:
    preset = PRESETS[name]
    assert preset.name == name
    assert "arXiv" in preset.summary or "doi" in preset.summary
    assert "\n" not in preset.summary
    assert any(standing in preset.published for standing in ("[abs", "[text", "[code", "[notes", "[ours]"))


@every_preset
@pytest.mark.parametrize("promise", PROMISES)
def test_a_preset_keeps_what_presets_keep(name: str, promise: Promise) -> None:
    promise(name)


# What was published, option by option, in the words of an export: (noise, curriculum, grid, uniform floor).
# Written down anew, without the classes and their defaults, from the papers and codes that each preset names.
LOGNORMAL_ICT = {"name": "lognormal", "p_mean": -1.1, "p_std": 2.0}
JITTERED = {"name": "polynomial_jittered", "degree": 4.0, "batch_size": 128, "commit": "994cbf8"}
POLYNOMIAL = {"name": "polynomial", "degree": 4.0}
LAPLACE = {"name": "logsnr_laplace", "sigma_data": 0.5, "mu": 0.0, "b": 0.5}
SECOND_MOMENT = {
    **{"name": "loss_second_moment", "num_bins": 32, "history": 400, "every": 50},
    **{"importance_weights": True, "uniform": 0.001},
}
UP_TO_1280 = {"name": "exponential", "s0": 10, "doublings": 7, "s1": None}
TWENTY = {"name": "constant", "levels": 20}
CT = {"name": "ct_sqrt", "s0": 2, "s1": 150, "power": 2.0}
SINE: dict[str, Any] = {"name": "sinusoidal", "s0": 20, "s1": 250, "power": 1.0}
HALF_SINE = {**SINE, "period": 2.0, "exponent": 1.5, "delta": 0.1, "amplitude": None, "offset": 0}
QUARTER_SINE = {**SINE, "period": 4.0, "exponent": 1.0, "delta": 1 / 6, "amplitude": 250, "offset": 1}
CLUSTERS = {
    **{"name": "difficulty_clusters", "levels": 20, "num_clusters": 20, "fraction": 0.5},
    **{"order": "easy_to_hard"},
}
KARRAS = {"name": "karras", "sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0}
MASTER = {**KARRAS, "name": "karras_master", "levels": 251}

PUBLISHED: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], float]] = {
    "ct": ({"name": "uniform"}, CT, KARRAS, 0.0),
    "ict": (LOGNORMAL_ICT, UP_TO_1280, KARRAS, 0.0),
    "ict_short": (LOGNORMAL_ICT, {**UP_TO_1280, "s0": 2, "s1": 150}, KARRAS, 0.0),
    "high_noise_p3": (JITTERED, TWENTY, KARRAS, 0.0),
    "hn_polynomial_sin": (JITTERED, HALF_SINE, KARRAS, 0.0),
    "hn_polynomial_sin_master": (JITTERED, HALF_SINE, MASTER, 0.0),
    "gokmen_constant": (POLYNOMIAL, TWENTY, KARRAS, 0.0),
    "gokmen_sinusoidal": (POLYNOMIAL, HALF_SINE, KARRAS, 0.0),
    "hn_ict": ({"name": "beta_minmax", "a": 1.5, "b": 5.0, "batch_size": 256}, QUARTER_SINE, KARRAS, 0.0),
    "ecm": (LOGNORMAL_ICT, {"name": "ect", "q": 2.0, "num_stages": 8}, KARRAS, 0.0),
    "scm_proposal": ({"name": "lognormal", "p_mean": -1.0, "p_std": 1.4}, UP_TO_1280, KARRAS, 0.0),
    "edm_proposal": ({"name": "lognormal", "p_mean": -1.2, "p_std": 1.2}, UP_TO_1280, KARRAS, 0.0),
    "hang_gu_laplace": (LAPLACE, UP_TO_1280, KARRAS, 0.0),
    "laplace_logsnr": (LAPLACE, UP_TO_1280, KARRAS, 0.05),
    "cauchy": (
        {"name": "logsnr_cauchy", "sigma_data": 0.5, "mu": 0.0, "gamma": 0.5},
        UP_TO_1280,
        KARRAS,
        0.0,
    ),
    "cosine": ({"name": "cosine", "sigma_data": 0.5}, UP_TO_1280, KARRAS, 0.0),
    "cosine_shifted": ({"name": "cosine_shifted", "sigma_data": 0.5, "mu": 1.0}, UP_TO_1280, KARRAS, 0.0),
    "cosine_scaled": ({"name": "cosine_scaled", "sigma_data": 0.5, "s": 1.3}, UP_TO_1280, KARRAS, 0.0),
    "vp": (
        {"name": "vp_linear", "beta_d": 19.9, "beta_min": 0.1, "epsilon": 1e-5},
        UP_TO_1280,
        KARRAS,
        0.0,
    ),
    "second_moment": (SECOND_MOMENT, CT, KARRAS, 0.0),
    "kim_clusters": (LOGNORMAL_ICT, CLUSTERS, KARRAS, 0.0),
    "xu_timesteps": (
        {"name": "lognormal", "p_mean": 0.207, "p_std": 1.0},  # ln 1.23
        {"name": "snr_timestep", "levels": 20},
        KARRAS,
        0.0,
    ),
    "digits_best": (
        {**LAPLACE, "mu": -1.47, "b": 1.12},
        {**UP_TO_1280, "s1": 686},
        {**KARRAS, "rho": 5.05},
        0.0,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_option_is_the_published_one(name: str) -> None:
    noise, curriculum, grid, floor = PUBLISHED[name]
    assert PRESETS[name].schedule.to_dict() == {
        **{"noise": noise, "curriculum": curriculum},
        **{"grid": grid, "uniform_floor": floor},
    }


@pytest.mark.parametrize(
    ("name", "levels"),
    [
        ("ict", [11, 21, 41, 81, 161, 321, 641, 1281]),
        ("ict_short", [3, 5, 9, 17, 33, 65, 129, 151]),
        ("hn_ict", [21, 63, 103, 141, 176, 207, 232, 251]),
        ("high_noise_p3", [20]),
        ("ecm", [8, 16, 37, 78, 159, 321, 645, 1293]),
    ],
)
def test_the_numbers_of_levels_are_the_published_ones(name: str, levels: list[int]) -> None:
    assert [stage.num_levels for stage in PRESETS[name].schedule.stages(2000)] == levels


def test_no_two_presets_are_the_same_schedule() -> None:
    rows = np.stack([features(preset.schedule, 2000) for preset in PRESETS.values()])
    for place, row in enumerate(rows):
        assert (distances(row, rows) > 0.03).sum() == len(rows) - 1, list(PRESETS)[place]


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"Unknown preset 'itc'. Known: .*ict"):
        PRESETS["itc"]


def test_presets_without_a_grid_are_the_published_ones() -> None:
    ends = {"sigma_min": 0.002, "sigma_max": 80.0}
    ect = {"name": "ect", "q": 4.0, "num_stages": 4, "k": 8.0, "b": 1.0}
    assert PRESETS["tcm_first_stage"].schedule.to_dict() == {
        **{"grid": ends, "noise": {"name": "lognormal", "p_mean": -0.8, "p_std": 1.6}, "gap": ect},
        **{"weight": {"name": "edm"}, "loss": {"name": "pseudo_huber", "huber_c": 0.00054}},
    }
    assert pytest.approx(0.06, rel=3e-3) == 0.00054 * 12288**0.5
    assert PRESETS["edm"].schedule.to_dict() == {
        **{"grid": ends, "noise": {"name": "lognormal", "p_mean": -1.2, "p_std": 1.2}},
        **{"weight": {"name": "edm"}, "loss": {"name": "denoising", "heun_steps": 18}},
    }
    assert PRESETS["scm_like"].schedule.to_dict() == {
        **{"grid": ends, "noise": {"name": "lognormal", "p_mean": -1.0, "p_std": 1.4}},
        **{"gap": {"name": "constant_ratio", "q": 1024.0}, "loss": {"name": "squared_l2"}},
        "weight": {"name": "learned_uncertainty"},
    }
