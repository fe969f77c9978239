"""Stopping rules: what all in the folder share, and ASHA's known answers."""

import pickle

import pytest

from search.stopping.asha import ASHA
from search.stopping_rule import STOPPING, Rung


@pytest.mark.parametrize("name", list(STOPPING))
def test_a_rule_is_plain_data_and_never_stops_the_best(name: str) -> None:
    rule = STOPPING.build(name)
    assert STOPPING.build(STOPPING.describe(rule)) == rule
    assert pickle.loads(pickle.dumps(rule)) == rule
    values = {number: float(number) for number in range(20)}
    assert not rule.stops(0, Rung(step=50, values=values))
    assert not rule.stops(7, Rung(step=50, values={7: 3.0}))  # the first at a rung goes on
    assert rule.steps(1000)[-1] == 1000


@pytest.mark.parametrize("factor", [2.0, 4.0])
def test_asha_keeps_one_in_reduction_factor(factor: float) -> None:
    rule = ASHA(reduction_factor=factor)
    values = {number: float(number) for number in range(101)}
    kept = sum(not rule.stops(number, Rung(step=50, values=values)) for number in values)
    assert abs(kept - 101 / factor) <= 1


def test_asha_stops_a_diverged_trial_and_is_not_misled_by_many() -> None:
    worst = 1e9
    values = {0: 5.0, 1: worst, 2: worst, 3: worst, 4: 6.0}
    assert ASHA().stops(1, Rung(step=50, values={0: 5.0, 1: worst}))
    assert not ASHA().stops(4, Rung(step=50, values=values))


@pytest.mark.parametrize("rungs", [[0.5, 0.5], [0.7, 0.5], [0.0, 0.5], [1.0], [-0.5]])
def test_impossible_rungs_are_refused(rungs: list[float]) -> None:
    with pytest.raises(ValueError, match="rungs"):
        STOPPING.build({"name": "asha", "rungs": rungs})


def test_rungs_become_steps_with_the_budget_last() -> None:
    assert ASHA(rungs=(0.5, 0.75)).steps(2000) == (1000, 1500, 2000)
