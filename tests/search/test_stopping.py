"""Stopping rules: what all in the folder share, and known answers of each."""

import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from search.algorithms.random import Random
from search.contracts._promise import Promise
from search.contracts.stopping import PROMISES, rung_of, some_rungs, stopped
from search.policy.conductor import Conductor
from search.policy.plan import Plan
from search.record import Report
from search.stopping.asha import ASHA
from search.stopping.asha_margin import ASHAMargin
from search.stopping.median import Median
from search.stopping_rule import STOPPING, Rung
from search.study.store import StudyStore
from spaces import PRESETS, SearchSpace

EVERY = list(STOPPING)
# What every rule keeps


@pytest.mark.parametrize("promise", PROMISES)
@pytest.mark.parametrize("name", EVERY)
def test_a_rule_keeps_what_rules_keep(name: str, promise: Promise) -> None:
    promise(name)


@pytest.mark.parametrize("name", EVERY)
def test_global_random_states_are_neither_used_nor_moved(name: str) -> None:
    rule, rungs = STOPPING.build(name), some_rungs(seed=6)
    decisions = []
    for seed in (0, 1):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
        decisions.append([stopped(rule, rung) for rung in rungs])
        assert before == (
            random.getstate(),
            np.random.get_state()[1].tolist(),
            torch.get_rng_state().tolist(),
        )
    assert decisions[0] == decisions[1]


@pytest.mark.parametrize("name", EVERY)
def test_a_trial_at_its_full_budget_is_not_asked_about(name: str, tmp_path: Path) -> None:
    asked: list[int] = []
    rule = STOPPING.build(name)

    class Spy(type(rule)):  # type: ignore[misc]
        def stops(self, number: int, rung: Rung) -> bool:
            asked.append(rung.step)
            return False

    space = SearchSpace.from_mapping({"noise": {"lognormal": None}, "curriculum": {"exponential": None}})
    spy = Spy(rungs=(0.5, 0.75))
    plan = Plan(
        space=space,
        baselines={"ict": PRESETS["ict"].schedule},
        algorithm=Random(),
        stopping=spy,
        total_steps=100,
        max_trials=3,
    )
    conductor = Conductor(
        plan, StudyStore.create(f"sqlite:///{tmp_path / 'study.db'}", "toy", {"search": {}})
    )
    while (record := conductor.next()) is not None:
        for step in plan.rungs:
            outcome = "complete" if step == plan.total_steps else None
            conductor.observe(record.number, step, [Report(step, 5.0, 0)], outcome)
    assert set(asked) == {50, 75}


# Options


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("rungs", [[0.5, 0.5], [0.7, 0.5], [0.0, 0.5], [1.0], [-0.5]])
def test_impossible_rungs_are_refused(name: str, rungs: list[float]) -> None:
    with pytest.raises(ValueError, match="`rungs` must increase and lie strictly between 0 and 1"):
        STOPPING.build({"name": name, "rungs": rungs})


@pytest.mark.parametrize("name", EVERY)
def test_a_rule_that_needs_rungs_refuses_to_have_none_and_another_takes_none(name: str) -> None:
    if STOPPING[name].NEEDS_RUNGS:
        with pytest.raises(ValueError, match="`rungs` must name at least one fraction of the budget"):
            STOPPING.build({"name": name, "rungs": []})
    else:
        assert STOPPING.build({"name": name, "rungs": []}).steps(100) == (100,)


def test_the_rules_that_do_nothing_without_rungs_need_them() -> None:
    needing = {name for name in EVERY if STOPPING[name].NEEDS_RUNGS}
    assert {"asha", "asha_margin", "median"} <= needing
    assert "none" not in needing


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"name": "asha", "reduction_factor": 1.0}, "`reduction_factor > 1` must hold"),
        ({"name": "asha_margin", "reduction_factor": 0.5}, "`reduction_factor > 1` must hold"),
        ({"name": "asha_margin", "margin": -1.0}, "`margin >= 0` must hold, but got margin=-1.0"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, object], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        STOPPING.build(options)


def test_rungs_become_steps_with_the_budget_last() -> None:
    assert ASHA(rungs=(0.5, 0.75)).steps(2000) == (1000, 1500, 2000)
    assert ASHA(rungs=(0.1,)).steps(2) == (1, 2)  # not before the first step
    assert ASHA(rungs=(0.999,)).steps(10_000) == (9990, 10_000)


@pytest.mark.parametrize("name", [name for name in EVERY if STOPPING[name].NEEDS_RUNGS])
def test_the_rungs_of_a_rule_that_needs_some_are_at_half_and_three_quarters(name: str) -> None:
    assert STOPPING.build(name).steps(400) == (200, 300, 400)


# Known answers


@pytest.mark.parametrize("factor", [2.0, 4.0])
def test_asha_keeps_one_in_reduction_factor(factor: float) -> None:
    rung = rung_of([float(number) for number in range(101)])
    assert abs(101 - len(stopped(ASHA(reduction_factor=factor), rung)) - 101 / factor) <= 1


def test_asha_keeps_one_in_two_and_what_is_at_the_cut() -> None:
    rung = rung_of([1.0, 2.0, 3.0, 4.0, 5.0])
    # The others of 3 have the median 3; those of 4 have 2.5.
    assert stopped(ASHA(), rung) == stopped(ASHAMargin(), rung) == {3, 4}
    assert not ASHA().stops(0, rung_of([2.0, 2.0]))
    assert not ASHAMargin().stops(0, rung_of([2.0, 2.0], noise=0.1))


def test_the_cut_is_a_percentile_of_the_others() -> None:
    others = {number: float(number) for number in range(1, 12)}  # 1, 2, ..., 11: the median is 6
    for rule in (ASHA(), ASHAMargin()):
        assert not rule.stops(0, Rung(step=50, values={0: 6.0, **others}))
        assert rule.stops(0, Rung(step=50, values={0: 6.001, **others}))
    assert not ASHA(reduction_factor=5.0).stops(0, Rung(step=50, values={0: 3.0, **others}))
    assert ASHA(reduction_factor=5.0).stops(0, Rung(step=50, values={0: 3.001, **others}))


def test_the_margin_is_one_standard_deviation_if_nothing_is_said() -> None:
    assert ASHAMargin() == ASHAMargin(margin=1.0, reduction_factor=2.0)
    assert ASHAMargin.USES_NOISE and not ASHA.USES_NOISE


@pytest.mark.parametrize("noise", [None, 0.0])
def test_without_noise_the_margin_changes_nothing(noise: float | None) -> None:
    for rung in some_rungs(seed=7):
        plain = Rung(rung.step, rung.values, rung.earlier, noise)
        assert stopped(ASHAMargin(margin=3.0), plain) == stopped(ASHA(), plain)
        assert stopped(ASHAMargin(margin=0.0), rung) == stopped(ASHA(), rung)


def test_the_margin_is_in_standard_deviations_of_a_difference() -> None:
    cut, noise = 50.0, 0.2
    edge = cut * math.exp(1.5 * math.sqrt(2) * noise)
    for value, stops in ((edge * 1.001, True), (edge * 0.999, False)):
        rung = Rung(step=50, values={0: cut, 1: value}, noise=noise)
        assert ASHAMargin(margin=1.5).stops(1, rung) is stops
        assert ASHA().stops(1, rung)


def test_of_schedules_that_differ_by_chance_alone_the_margin_stops_its_share() -> None:
    """One in six at margin 1, where ASHA stops half: 4,000 values that differ by seed noise only, each cut at
    another such value. 6 sigma of a share of .159 of 4,000: .035; fails by chance twice in 1e9."""
    rng = random.Random(0)
    pairs = [(rng.lognormvariate(4, 0.3), rng.lognormvariate(4, 0.3)) for _ in range(4000)]
    rungs = [Rung(step=50, values={0: cut, 1: value}, noise=0.3) for cut, value in pairs]
    share = sum(ASHAMargin(margin=1.0).stops(1, rung) for rung in rungs) / len(rungs)
    assert abs(share - 0.1587) < 0.035


def test_the_margin_counts_for_small_values_too() -> None:
    values = {0: 0.5, 1: 0.51}
    assert not ASHAMargin().stops(1, Rung(step=50, values=values, noise=0.3))
    assert ASHAMargin().stops(1, Rung(step=50, values=values, noise=0.001))


def test_a_value_without_logarithm_is_judged_as_asha_does() -> None:
    rung = Rung(step=50, values={0: 0.0, 1: 1.0}, noise=0.3)
    assert ASHAMargin().stops(1, rung)
    assert not ASHAMargin().stops(0, rung)


def test_the_median_rule_compares_the_best_so_far_with_the_others_averages() -> None:
    earlier = {25: {0: 90.0, 1: 100.0, 2: 200.0, 3: 300.0}, 50: {0: 75.0, 1: 60.0, 2: 100.0}}
    rung = Rung(step=75, values={0: 80.0, 1: 50.0, 2: 60.0, 3: 70.0}, earlier=earlier)
    # Averages 70, 120 and 185 of trials 1, 2 and 3 (which missed a rung): median 120. Best of trial 0: 75.
    assert not Median().stops(0, rung)
    worse = Rung(
        step=75, values={**rung.values, 0: 130.0}, earlier={25: {**earlier[25], 0: 125.0}, 50: earlier[50]}
    )
    assert not Median().stops(0, worse)  # 75 at step 50 still stands
    never = Rung(step=75, values={**rung.values, 0: 130.0}, earlier={25: {**earlier[25], 0: 121.0}})
    # Without step 50: averages 75, 130 and 185, median 130; best 121. At step 75 alone it would be 60.
    assert not Median().stops(0, never)
    assert Median().stops(0, Rung(step=75, values=never.values))


def test_the_median_rule_lets_pass_what_is_at_the_median() -> None:
    assert not Median().stops(0, rung_of([2.0, 2.0, 2.0]))
    assert Median().stops(0, rung_of([2.1, 2.0, 2.0]))


def test_at_the_first_rung_the_median_rule_stops_the_worse_half() -> None:
    rung = rung_of([float(number) for number in range(1, 101)])
    assert stopped(Median(), rung) == set(range(50, 100))
