"""Least shares at both ends of the noise levels: read, held by what is proposed."""

import random
from dataclasses import replace
from typing import Any

import pytest

from search.algorithm import ALGORITHMS
from search.policy.proposals import Proposals
from spaces import PRESETS, NoiseSchedule, SearchSpace
from spaces.continuous import Ends, quantiles
from spaces.gaps.ect import ECTGap
from spaces.noise.lognormal import LogNormal
from spaces.noise.logsnr_laplace import LogSNRLaplace
from spaces.registry import name_of
from spaces.space.least_ends import LeastEnds
from spaces.space.problems import SpaceError
from spaces.thin_ends import shares
from tests.search.test_conductor import PLAN

NARROW = {"noise": {"logsnr_laplace": {"mu": {"low": -2, "high": 0}, "b": {"low": 0.5, "high": 3.0}}}}


def test_a_schedule_needs_its_share_at_both_ends() -> None:
    ict, laplace = PRESETS["ict"].schedule, PRESETS["hang_gu_laplace"].schedule
    assert isinstance(laplace.noise, LogSNRLaplace)
    found = shares(laplace, 1000, 0.3, 1.0)
    assert found.above < 0.05 < found.below
    assert LeastEnds(share=0.05).allow(ict, 1000) and not LeastEnds(share=0.05).allow(laplace, 1000)
    assert LeastEnds(share=0.9 * found.above).allow(laplace, 1000)
    assert not LeastEnds(share=1.1 * found.above, low=1.0, high=1.0).allow(laplace, 1000)


def test_a_law_that_adapts_in_training_may_come_to_it() -> None:
    assert LeastEnds(share=0.49).allow(PRESETS["second_moment"].schedule, 1000)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"share": 0.0}, "`0 < share < 0.5` must hold"),
        ({"share": 0.5}, "`0 < share < 0.5` must hold"),
        ({"share": float("nan")}, "`0 < share < 0.5` must hold"),
        ({"share": 0.1, "low": 2.0}, "`0 < low <= high` must hold"),
        ({"low": 0.3}, "`share` is needed"),
        ({"share": 0.1, "hihg": 1}, "unknown option 'hihg'. Known: share, low, high"),
        ({"share": True}, "`share` must be a number"),
        ({"share": "much"}, "`share` must be a number"),
        (0.1, "a mapping is needed"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(given: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message) as error:
        SearchSpace.from_mapping({"ends": given})
    assert str(error.value).startswith("space.ends: ") and "\n" not in str(error.value)


def test_it_is_read_back_and_is_no_part_of_a_space_without_it() -> None:
    space = SearchSpace.from_mapping({**NARROW, "ends": {"share": 0.1}})
    assert space.to_dict()["ends"] == {"share": 0.1, "low": 0.3, "high": 1.0}
    assert SearchSpace.from_mapping(space.to_dict()) == space
    assert "ends" not in SearchSpace.from_mapping(NARROW).to_dict()


@pytest.mark.parametrize("algorithm", ["random", "density_gp", "tpe"])
def test_what_is_proposed_has_it(algorithm: str) -> None:
    space = SearchSpace.from_mapping({**NARROW, "ends": {"share": 0.1}})
    plan = replace(
        PLAN, space=space, algorithm=ALGORITHMS.build(algorithm), seed=random.Random(0).randrange(99)
    )
    proposals = Proposals(plan, [])
    for number in range(6):
        schedule = next(iter(proposals.draws(number))).schedule
        found = shares(schedule, plan.total_steps, 0.3, 1.0)
        assert min(found.below, found.above) >= 0.1


# Beside a gap that is not adjacent levels come from the law itself; a narrow law is told by the same rule.
GAPS_OF_BOTH_KINDS = {
    "gap": {"ect": None, "adjacent": None},
    "noise": {"lognormal": {"p_mean": {"low": -3, "high": 1}, "p_std": {"low": 0.3, "high": 2.0}}},
    "curriculum": {"constant": None},
}
NO_GRID = {key: value for key, value in GAPS_OF_BOTH_KINDS.items() if key != "curriculum"} | {
    "gap": {"ect": None}
}


def test_a_schedule_without_a_grid_needs_its_share_at_both_ends() -> None:
    law = LogNormal(p_mean=-1.1, p_std=2.0)
    wide, narrow = (NoiseSchedule.continuous(replace(law, p_std=std), ECTGap()) for std in (2.0, 0.5))
    for schedule in (wide, narrow):
        t_Q = quantiles(schedule.noise, Ends())
        found = shares(schedule, 1000, 0.3, 1.0)
        assert found.below == pytest.approx((t_Q < 0.3).mean(), abs=1e-3)
        assert found.above == pytest.approx((t_Q > 1.0).mean(), abs=1e-3)
    assert LeastEnds(share=0.2).allow(wide, 1000) and not LeastEnds(share=0.2).allow(narrow, 1000)


@pytest.mark.parametrize("algorithm", ["random", "density_gp", "tpe"])
@pytest.mark.parametrize("given", [GAPS_OF_BOTH_KINDS, NO_GRID])
def test_what_is_proposed_beside_every_gap_has_it(given: dict[str, Any], algorithm: str) -> None:
    space = SearchSpace.from_mapping({**given, "ends": {"share": 0.2}})
    assert SearchSpace.from_mapping(space.to_dict()) == space
    proposals = Proposals(replace(PLAN, space=space, algorithm=ALGORITHMS.build(algorithm)), [])
    gaps = set()
    for number in range(12):
        schedule = next(iter(proposals.draws(number))).schedule
        found = shares(schedule, PLAN.total_steps, 0.3, 1.0)
        assert min(found.below, found.above) >= 0.2
        gaps.add(name_of(schedule.gap))
    assert gaps == set(given["gap"])


def test_a_space_without_a_grid_that_cannot_have_it_is_exhausted() -> None:
    narrow = {
        "noise": {"lognormal": {"p_mean": {"low": -0.1, "high": 0.1}, "p_std": 0.3}},
        "gap": {"ect": None},
    }
    space = SearchSpace.from_mapping({**narrow, "ends": {"share": 0.4}})
    assert list(Proposals(replace(PLAN, space=space), []).draws(0)) == []


def test_a_space_that_cannot_have_it_is_exhausted() -> None:
    space = SearchSpace.from_mapping(
        {"noise": {"logsnr_laplace": {"mu": {"low": -0.1, "high": 0.1}, "b": 0.5}}, "ends": {"share": 0.4}}
    )
    assert list(Proposals(replace(PLAN, space=space), []).draws(0)) == []
