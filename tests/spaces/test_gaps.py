"""Every gap in spaces/gaps/, those dropped in later included, keeps these promises; so do schedules without a grid."""

import dataclasses
import math
from typing import Any

import jsonschema
import numpy as np
import optuna
import pytest
import torch
from torch.special import ndtr, ndtri

from search.contracts._promise import Promise
from search.contracts.gaps import PROMISES
from spaces import GAPS, NOISE, PRESETS, WEIGHTS, NoiseSchedule, SearchSpace, schedule_json_schema
from spaces.continuous import NUM_QUANTILES, Ends, quantiles
from spaces.curricula.constant import Constant
from spaces.equality import distance, equal
from spaces.gap import Gap
from spaces.gaps.adjacent import Adjacent
from spaces.gaps.constant_ratio import ConstantRatio
from spaces.gaps.ect import ECTGap
from spaces.noise.lognormal import LogNormal
from spaces.thin_ends import ends

ICT = PRESETS["ict"].schedule
ECT = PRESETS["ect"].schedule
CONTINUOUS = [name for name, cls in GAPS.items() if cls.CONTINUOUS]
K = 2000


def schedule(gap: Gap, p_mean: float = -1.1, p_std: float = 2.0) -> NoiseSchedule:
    return NoiseSchedule.continuous(LogNormal(p_mean=p_mean, p_std=p_std), gap)


@pytest.mark.parametrize("name", list(GAPS))
@pytest.mark.parametrize("promise", PROMISES)
def test_a_gap_keeps_what_gaps_keep(name: str, promise: Promise) -> None:
    promise(name)


def test_a_grid_is_the_gap_adjacents_alone() -> None:
    with pytest.raises(TypeError, match="_Second: only the gap adjacent is of a grid"):

        class _Second(Adjacent):
            CONTINUOUS = False


# --- known answers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("t", "stage", "expected"),
    [
        (1.0, 7, 1 - (1 + 8 / (1 + math.e)) / 256),  # n(1) = 3.1515
        (80.0, 0, 40.0),  # n = 1 far above
        (0.1, 0, 0.002),  # 1 - n/2 < 0: as near to the image as there is
    ],
)
def test_the_gap_of_ect_is_its_closed_form(t: float, stage: int, expected: float) -> None:
    found = ECTGap().teacher(np.array([t]), 0.002, stage)
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_a_constant_ratio_is_ects_gap_without_its_sigmoid() -> None:
    t_M = np.logspace(-2.6, 1.9, 50)
    plain = ECTGap(q=64.0, num_stages=1, k=0.0).teacher(t_M, 0.002, 0)
    np.testing.assert_allclose(ConstantRatio(q=64.0).teacher(t_M, 0.002, 0), plain, rtol=1e-15)


@pytest.mark.parametrize(("stage", "expected"), [(3, 77), (5, 320), (7, 1292)])
def test_the_number_of_gaps_is_that_of_ects_steps_from_80_down(stage: int, expected: int) -> None:
    """The steps that the curriculum ect counts one by one; a sum for an integral, so the more the nearer."""
    found = ECT.intervals(ECT.stages(K)[stage], np.log([0.002, 80.0])).sum()
    assert found == pytest.approx(expected, rel=0.2 / 2 ** (stage - 2))


def test_the_intervals_of_a_grid_are_its_own() -> None:
    stage = ICT.stages(K)[2]
    assert ICT.intervals(stage, np.log([0.002, 80.0])).tolist() == [pytest.approx(40)]


@pytest.mark.parametrize(("p_mean", "p_std"), [(-1.1, 2.0), (-3.0, 0.5), (1.0, 3.0)])
def test_the_levels_are_the_quantiles_of_the_truncated_law(p_mean: float, p_std: float) -> None:
    t_Q = quantiles(LogNormal(p_mean=p_mean, p_std=p_std), Ends())
    low, high = ((math.log(end) - p_mean) / p_std for end in (0.002, 80.0))
    cdf_low, cdf_high = (float(ndtr(torch.tensor(z, dtype=torch.float64))) for z in (low, high))
    u_Q = (torch.arange(NUM_QUANTILES, dtype=torch.float64) + 0.5) / NUM_QUANTILES
    expected = (p_mean + p_std * ndtri(cdf_low + u_Q * (cdf_high - cdf_low))).exp()
    np.testing.assert_allclose(t_Q, expected.numpy(), rtol=2e-4)
    assert bool((np.diff(t_Q) > 0).all()) and t_Q[0] > 0.002 and t_Q[-1] < 80


# --- the schedule ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONTINUOUS)
def test_a_schedule_without_a_grid_says_so_and_has_the_stages_of_its_gap(name: str) -> None:
    one = schedule(GAPS[name]())
    assert one.to_dict().keys() == {"grid", "noise", "gap"}
    assert one.to_dict()["grid"] == {"sigma_min": 0.002, "sigma_max": 80.0}
    assert one.describe() == f"{one.noise.describe()} continuous gap={one.gap.describe()}"
    assert len(one.stages(K)) == one.gap.most_stages
    jsonschema.Draft202012Validator(schedule_json_schema()).validate(one.to_dict())


def test_what_is_shown_of_it_is_the_density_of_its_law() -> None:
    found = ends(ECT, K)
    shown = ends(dataclasses.replace(ICT, curriculum=Constant(levels=4097)), K)
    assert (found.below, found.above) == pytest.approx((shown.below, shown.above), abs=0.01)


def test_what_it_minimises_is_law_times_weight() -> None:
    stage = ECT.stages(K)[-1]
    even = dataclasses.replace(ECT, weight=WEIGHTS["uniform"]())
    assert np.allclose(even.minimised(stage).probabilities, stage.probabilities)
    share_M = ECT.minimised(stage).probabilities
    assert share_M[:400].sum() > 5 * stage.probabilities[:400].sum()  # 1/(t - r) is large where t is small


def test_gaps_are_told_apart_by_how_many_there_are_and_where() -> None:
    one = schedule(ConstantRatio(q=64.0))
    assert distance(one, schedule(ConstantRatio(q=64.0)), K) == 0
    assert distance(one, schedule(ConstantRatio(q=128.0)), K) == pytest.approx(0.5, abs=0.01)
    assert equal(one, schedule(ConstantRatio(q=64.2)), K)
    assert not equal(one, schedule(ConstantRatio(q=66.0)), K)
    assert distance(one, schedule(ECTGap(q=64.0, num_stages=1)), K) > 0.5
    assert distance(one, ICT, K) == 1 and not equal(one, ICT, K)


# --- what has no meaning -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"curriculum": {"name": "constant"}}, "A schedule with this gap needs grid, noise and may have"),
        (
            {"grid": {"name": "karras_master"}},
            "grid: a gap that is not adjacent has only sigma_min and sigma_max for a",
        ),
        (
            {"grid": {"rho": 7.0}},
            "grid: a gap that is not adjacent has only sigma_min and sigma_max for a grid, but",
        ),
        ({"uniform_floor": 0.1}, "a uniform floor is over the intervals of a grid, which the gap ect("),
        ({"noise": {"name": "uniform"}}, "uniform is no law over sigma, and the gap ect("),
        ({"noise": {"name": "learned"}}, "is no law over sigma"),
        ({"gap": {"name": "adjacent"}}, "A schedule needs grid, noise, curriculum and may have"),
        ({"gap": {"name": "etc"}}, "gap: Unknown gap 'etc'. Known: adjacent, constant_ratio, ect"),
        (
            {"gap": {"name": "constant_ratio", "q": 1e6}},
            "the gap constant_ratio(q=1e+06) is too narrow: at t=",
        ),
        ({"gap": {"name": "ect", "q": 3000.0, "num_stages": 2}}, "gap: `q**num_stages <= 2**20` must hold"),
        ({"gap": {"name": "constant_ratio", "q": 1.0}}, "gap: `1.1 <= q <= 1.04858e+06` must hold"),
    ],
)
def test_a_combination_without_meaning_is_refused_in_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        NoiseSchedule.from_dict({**schedule(ECTGap()).to_dict(), **changes})
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_parts_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="a gap that is not adjacent has no grid but its ends"):
        dataclasses.replace(ICT, gap=ECTGap())
    with pytest.raises(ValueError, match="a gap that is not adjacent has no grid but its ends"):
        dataclasses.replace(ECT, gap=ConstantRatio())


# --- the search space --------------------------------------------------------------------------------------

BOTH = {"gap": dict.fromkeys(GAPS), "noise": {"lognormal": None}, "curriculum": {"constant": None}}
ALONE = {"gap": {"ect": None}, "grid": {"sigma_max": {"low": 40.0, "high": 80.0}}}


@pytest.mark.parametrize("given", [BOTH, ALONE])
def test_a_grid_and_a_curriculum_are_drawn_beside_adjacent_gaps_only(given: dict[str, Any]) -> None:
    space = SearchSpace.from_mapping(given)
    assert SearchSpace.from_mapping(space.to_dict()) == space
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(40):
        trial = study.ask()
        drawn = space.suggest(trial)
        assert space.params_of(drawn) == trial.params
        on_grid = trial.params.get("gap") == "adjacent"
        assert ("grid.rho" in trial.params) == ("constant.levels" in trial.params) == on_grid
        assert on_grid != drawn.gap.CONTINUOUS
    assert space.params_of(ICT) is None


def test_only_laws_over_sigma_are_searched_beside_such_gaps() -> None:
    names = {family.name for family in SearchSpace.from_mapping({"gap": {"ect": None}}).noise}
    assert "lognormal" in names and not {"uniform", "beta", "polynomial"} & names


def test_options_of_a_grid_mean_an_adjacent_gap() -> None:
    space = SearchSpace.from_mapping(BOTH)
    assert space.completed({"grid.rho": 7.0}) == {"grid.rho": 7.0, "gap": "adjacent"}
    with pytest.raises(ValueError, match=r"'grid\.rho' would have no effect with `gap` 'ect'"):
        space.completed({"grid.rho": 7.0, "gap": "ect"})
    assert space.completed({"gap.ect.q": 2.0})["gap"] == "ect"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"grid": {"karras_master": None}}, r"space\.grid\.karras_master: would have no effect with a gap"),
        ({"grid": {"rho": 3.0}}, r"space\.grid\.rho: would have no effect with a gap that is not adjacent"),
        ({"curriculum": {"constant": None}}, r"space\.curriculum: would have no effect with a gap"),
        ({"uniform_floor": 0.1}, r"space\.uniform_floor: is over the intervals of a grid"),
        ({"noise": {"uniform": None}}, r"space\.noise\.uniform: is no law over sigma"),
        ({"gap": {"constant_ratio": {"q": 1e6}}}, r"space\.gap\.constant_ratio: the gap .* is too narrow"),
        ({"gap": {"ect": {"q": {"low": 2, "high": 8}}}}, r"space\.gap\.ect.*: `q\*\*num_stages <= 2\*\*20`"),
        (
            {"gap": dict.fromkeys(GAPS), "grid": {"sigma_max": {"low": 50, "high": 80}}},
            r"space\.grid: sigma_min and sigma_max must be one value each",
        ),
    ],
)
def test_a_space_without_meaning_is_refused_in_one_line(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        SearchSpace.from_mapping({"noise": {"lognormal": None}, "gap": {"ect": None}, **given})
    assert "\n" not in str(caught.value)


def test_every_law_over_sigma_has_its_levels() -> None:
    for family in SearchSpace.from_mapping({"gap": {"ect": None}}).noise:
        t_Q = quantiles(NOISE[family.name](), Ends())
        assert bool((np.diff(t_Q) > 0).all()) and bool(np.isfinite(t_Q).all())
