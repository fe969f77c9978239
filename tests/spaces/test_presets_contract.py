"""Every preset in spaces/presets/, the ones dropped in later included, keeps these promises."""

import numpy as np
import pytest

from spaces import PRESETS
from spaces.curricula.constant import Constant
from spaces.curricula.exponential import Exponential
from spaces.equality import distances, features
from spaces.noise.lognormal import LogNormal
from spaces.noise.logsnr_laplace import LogSNRLaplace
from spaces.noise.polynomial import Polynomial

every_preset = pytest.mark.parametrize("name", list(PRESETS))


@every_preset
def test_is_named_after_its_file_cited_and_says_how_far_it_was_verified(name: str) -> None:
    preset = PRESETS[name]
    assert preset.name == name
    assert "arXiv" in preset.summary or "doi" in preset.summary
    assert "\n" not in preset.summary
    assert any(standing in preset.published for standing in ("[abs", "[text", "[code", "[notes"))


@every_preset
@pytest.mark.parametrize("total_steps", [1, 300, 2000])
def test_gives_valid_stages_for_every_budget(name: str, total_steps: int) -> None:
    stages = PRESETS[name].schedule.stages(total_steps)
    assert stages[0].start_step == 0
    for stage in stages:
        assert (stage.sigma_N.diff() > 0).all()
        assert (stage.probability_M >= 0).all()
        assert abs(stage.probability_M.sum().item() - 1) < 1e-12


def test_the_published_values_are_these() -> None:
    ict = PRESETS["ict"].schedule
    assert (ict.noise, ict.curriculum) == (LogNormal(p_mean=-1.1, p_std=2.0), Exponential(s0=10, doublings=7))
    assert [stage.num_levels for stage in PRESETS["ict_short"].schedule.stages(2000)][-1] == 151
    assert PRESETS["gokmen_constant"].schedule.noise == Polynomial(degree=4.0)
    assert PRESETS["gokmen_constant"].schedule.curriculum == Constant(levels=20)
    levels = [stage.num_levels for stage in PRESETS["gokmen_sinusoidal"].schedule.stages(2000)]
    assert (levels[0], max(levels), levels[-1]) == (20, 250, 30)
    assert PRESETS["hang_gu_laplace"].schedule.noise == LogSNRLaplace(mu=0.0, b=0.5, sigma_data=0.5)
    assert all(preset.schedule.grid.rho == 7.0 for preset in PRESETS.values())


def test_every_schedule_of_the_literature_is_there() -> None:
    assert set(PRESETS) >= {
        *(
            "ct",
            "ict",
            "ict_short",
            "high_noise_p3",
            "hn_polynomial_sin",
            "hn_polynomial_sin_master",
            "hn_ict",
            "ecm",
        ),
        *(
            "scm_proposal",
            "edm_proposal",
            "laplace_logsnr",
            "cauchy",
            "cosine",
            "cosine_shifted",
            "cosine_scaled",
        ),
        *("vp", "kim_clusters", "xu_timesteps", "gokmen_constant", "gokmen_sinusoidal", "hang_gu_laplace"),
    }
    assert [stage.num_levels for stage in PRESETS["hn_ict"].schedule.stages(2000)] == [
        *(21, 63, 103, 141, 176, 207, 232, 251)
    ]
    levels = [stage.num_levels for stage in PRESETS["ct"].schedule.stages(2000)]
    assert (levels[0], levels[-1]) == (2, 151)
    assert PRESETS["laplace_logsnr"].schedule.uniform_floor == 0.05
    assert [name for name, preset in PRESETS.items() if preset.schedule.uniform_floor] == ["laplace_logsnr"]


def test_no_two_presets_are_the_same_schedule() -> None:
    rows = np.stack([features(preset.schedule, 2000) for preset in PRESETS.values()])
    for place, row in enumerate(rows):
        assert (distances(row, rows) > 0.03).sum() == len(rows) - 1, list(PRESETS)[place]


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"Unknown preset 'itc'. Known: .*ict"):
        PRESETS["itc"]
