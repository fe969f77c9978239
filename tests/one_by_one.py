"""Whole searches without Ray, one trial after the other, in which other settings turn the search's order round."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from search.policy.conductor import Conductor
from search.policy.plan import Plan
from search.record import Report, TrialRecord
from search.simulator.trials_in_memory import TrialsInMemory
from tests.search.test_conductor import conductor_in, toy_value


class Look(NamedTuple):
    """What was foretold after a report. at: seconds since the start, as least and most that are left."""

    at: float
    least: float
    most: float
    is_own: bool


def drive(conductor: Conductor, kill_after: int | None = None) -> None:
    """To the end, or for so many reports."""
    events = 0
    while (now := conductor.next()) is not None:
        for step in conductor.plan.rungs_of(now):
            value = toy_value(now, step) if now.is_comparable else 1e4 / toy_value(replace(now, seed=0), 100)
            is_over = _observed(conductor, now, step, value)
            events += 1
            if events == kill_after:
                return
            if is_over:
                break
    assert conductor.finished


def check_goes_on_to_the_same_end(plan: Plan, folder: Path, kill_after: int) -> None:
    """A driver is killed after so many reports, and the search gone on with by another."""
    whole = conductor_in(folder / "whole", plan)
    drive(whole)
    drive(conductor_in(folder / "killed", plan), kill_after)
    again = conductor_in(folder / "killed", plan)
    drive(again)
    assert _ends(again) == _ends(whole)


def looks(plan: Plan) -> tuple[list[Look], float]:
    """After each report what is foretold, and how long all took: a step a second, three elsewhere."""
    now = [0.0]
    conductor = Conductor(replace(plan, max_concurrent=1), TrialsInMemory(), clock=lambda: now[0])
    seen: list[Look] = []
    while (trial := conductor.next()) is not None:
        before = 0
        for step in conductor.plan.rungs_of(trial):
            now[0] += (step - before) * (1.0 if trial.is_comparable else 3.0)
            before = step
            is_over = _observed(conductor, trial, step, toy_value(trial, step))
            found = conductor.outlook()
            assert found.least is not None and found.most is not None
            seen.append(Look(now[0], found.least, found.most, trial.is_comparable))
            if is_over:
                break
    assert conductor.finished
    return seen, now[0]


def _observed(conductor: Conductor, trial: TrialRecord, step: int, value: float) -> bool:
    reports = [*conductor.records[trial.number].reports, Report(step, value, step)]
    is_done = step == conductor.plan.total_steps_in(trial.setting)
    return conductor.observe(trial.number, step, reports, "complete" if is_done else None)


def _ends(conductor: Conductor) -> Counter[Any]:
    return Counter(
        (r.purpose, r.replicate_of, r.seed, r.setting, r.objective) for r in conductor.records.values()
    )
