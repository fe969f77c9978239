"""How long a search still takes: what it said all along in simulated searches, against what it then took."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest

from search.file.spec import SearchSpec, load_spec, overridden
from search.policy.budget import Spending
from search.policy.conductor import Conductor
from search.policy.pace import WINDOW_SECONDS, Pace
from search.policy.plan import Plan
from search.policy.survival import Survival
from search.record import State
from search.running.plan_of import plan_of
from search.screen.words import QUARTER
from search.simulator.replay import Curves, Measured, Replay
from search.simulator.simulation import Playback, simulate
from search.simulator.table import read_table, table_path
from search.stopping.none import NoStopping
from spaces import NoiseSchedule
from tests.records import record
from trainable.task import OWN

Look = tuple[float, float, float]  # seconds since the start, least and most that is left
# The recorded curves are of one setting, and of schedules without a floor.
DIGITS = load_spec("searches/digits.yaml")
DIGITS = overridden(
    DIGITS,
    {"algorithm": "random", "holds_at": {}, "space": replace(DIGITS.space, uniform_floor=0.0, ends=None)},
)
SEARCHES = {
    "digits": (DIGITS, 2),
    "one slot": (DIGITS, 1),
    "eight slots": (DIGITS, 8),
    "long race": (
        overridden(DIGITS, {"confirm.top": 4, "confirm.baselines": 2, "confirm.rounds": [2, 4, 8]}),
        2,
    ),
    "no stopping": (overridden(DIGITS, {"stopping": "none"}), 2),
    "few trials": (overridden(DIGITS, {"budget.max_trials": 12}), 2),
    "hours": (overridden(DIGITS, {"budget.max_trials": None, "budget.max_hours": 0.03}), 2),
    "CPU-hours": (overridden(DIGITS, {"budget.max_cpu_hours": 0.03}), 2),
}
SEEDS = 2


@cache
def curves() -> Curves:
    return Curves(read_table(table_path(DIGITS)))


def seeded(spec: SearchSpec, repeat: int) -> SearchSpec:
    return spec.model_copy(update={"seed": 10_000 * repeat})


def looks(plan: Plan, playback: Playback) -> tuple[list[Look], float]:
    """What was foretold after each result, and how long the search took."""
    seen: list[Look] = []

    def look(conductor: Conductor) -> None:
        found = conductor.outlook()
        if found.least is not None and found.most is not None:
            seen.append((conductor.spending.wall, found.least, found.most))

    return seen, simulate(plan, {OWN: playback}, on_result=look).seconds


def honest(look: Look, whole: float, between_rungs: float) -> bool:
    """Whether what the screen would show holds the truth: a range, or one figure and a quarter of it.

    between_rungs: seconds; what a trial has done since its last rung is not heard of in a simulation.
    """
    now, least, most = look
    left = whole - now
    if most <= QUARTER**2 * least:
        middle = math.sqrt(least * most)
        least, most = middle / QUARTER, middle * QUARTER
    return least - between_rungs <= left <= most + between_rungs


@pytest.mark.parametrize("name", SEARCHES)
def test_after_the_first_tenth_what_is_left_is_told_to_a_quarter(name: str) -> None:
    spec, slots = SEARCHES[name]
    found, widths = [], []
    for repeat in range(SEEDS):
        plan = plan_of(seeded(spec, repeat), slots)
        seen, whole = looks(plan, Replay(curves(), repeat, plan.seed))
        between_rungs = 4.2 / len(plan.rungs)  # a trial of the table takes about 4.2 s
        later = [look for look in seen if whole / 10 <= look[0] < whole]
        assert later
        assert later[0][0] < whole / 5, "nothing is said for long"
        found += [honest(look, whole, between_rungs) for look in later]
        widths += [most / max(least, 0.1) for _, least, most in later]
    assert sum(found) / len(found) >= 0.9
    assert sorted(widths)[len(widths) // 2] <= 2.2


def slow_to_measure(train: float, measure: float) -> Playback:
    """Trials whose every part between two rungs takes `train` seconds, and its measuring `measure` more."""

    def play(schedule: NoiseSchedule, seed: int, rungs: Sequence[int]) -> list[Measured]:
        value = 10 + random.Random(f"{schedule.describe()}/{seed}").random()
        return [Measured(step, value, index * (train + measure)) for index, step in enumerate(rungs, start=1)]

    return play


def test_measuring_is_part_of_the_pace() -> None:
    """Rungs a minute apart, of which fifty seconds are no training: 200 steps/s while it trains, not in all."""
    plan = replace(plan_of(DIGITS, 2), stopping=NoStopping(rungs=(0.25, 0.5, 0.75)), total_steps=8000)
    seen, whole = looks(plan, slow_to_measure(10.0, 50.0))
    assert whole > 3600
    later = [look for look in seen if whole / 10 <= look[0] < whole]
    assert sum(honest(look, whole, 60.0) for look in later) >= 0.9 * len(later)


def spent(wall: float, trials: float, steps: int) -> Spending:
    return Spending(wall=wall, trials=trials, steps=steps)


def test_the_pace_counts_from_the_first_steps_and_forgets_what_is_long_past() -> None:
    pace = Pace(spent(0, 0, 0))
    assert pace.slot_seconds_per_step is None
    pace.heard(spent(20, 40, 0))  # the workers start
    pace.heard(spent(21, 42, 100))
    assert pace.window == (0, 0)
    for second in range(1, 1201):
        pace.heard(spent(21 + second, 42 + 2 * second, 100 + 100 * second))
    assert pace.slot_seconds_per_step == pytest.approx(0.02)
    for second in range(1, 1201):  # others use the machine: a tenth of the speed
        pace.heard(spent(1221 + second, 2442 + 2 * second, 120_100 + 10 * second))
    steps, seconds = pace.window
    assert steps / seconds == pytest.approx(10)
    assert WINDOW_SECONDS <= seconds <= 1220
    assert pace.slot_seconds_per_step == pytest.approx(0.2)


def test_a_machine_whose_load_has_changed_may_change_again() -> None:
    pace = Pace(spent(0, 0, 0))
    assert pace.unsteadiness == 0
    for second in range(100):
        pace.heard(spent(second, 2 * second, 100 * second))
    assert pace.unsteadiness == pytest.approx(0, abs=0.01)
    for second in range(100):  # a third of the speed
        pace.heard(spent(100 + second, 200 + 2 * second, 10_000 + 33 * second))
    assert pace.unsteadiness == pytest.approx(math.log(3), abs=0.15)


def test_what_a_former_driver_spent_counts_at_first() -> None:
    pace = Pace(spent(1000, 2000, 10_000))
    assert pace.slot_seconds_per_step == pytest.approx(0.2)
    assert pace.window == (0, 0)


@pytest.fixture
def plan() -> Plan:
    return plan_of(DIGITS, 2)


def test_how_far_proposals_come_is_learnt_from_them(plan: Plan) -> None:
    survival = Survival(plan)
    before = survival.from_step(0).mean
    assert 500 < before < 2000
    stopped = [record(n, (500, 9.0), state=State.STOPPED) for n in range(40)]
    survival.learn(stopped)
    assert survival.from_step(0).mean < before
    assert survival.of_new(10).mean == pytest.approx(10 * survival.from_step(0).mean)
    done = [record(n, *((step, 9.0) for step in plan.rungs)) for n in range(40)]
    survival.learn(done)
    assert survival.from_step(0).mean > 1700
    assert survival.from_step(1500).mean == pytest.approx(500)
    assert survival.from_step(2000).mean == 0


def test_how_many_proposals_come_to_their_ends_is_learnt_too(plan: Plan) -> None:
    survival = Survival(plan)
    before = survival.chance_from(0)
    assert 0 < before < survival.chance_from(500) < survival.chance_from(1500) == 1
    survival.learn([record(n, (500, 9.0), state=State.STOPPED) for n in range(40)])
    assert survival.chance_from(0) < before
