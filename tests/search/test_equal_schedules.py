"""Which of the known schedules a proposal equals: the short cuts find what the distance alone finds."""

import random
from collections import Counter
from typing import Any

import pytest

from search.policy.equal_schedules import KnownSchedules
from spaces import PRESETS, NoiseSchedule, equality
from spaces.equality import equal

K = 2000


def near(schedule: NoiseSchedule, rng: random.Random) -> NoiseSchedule:
    """The same, or changed by less or by more than the tolerance."""
    document = schedule.to_dict()
    document["grid"]["rho"] = document["grid"].get("rho", 7.0) * (1 + rng.choice([0, 1e-4, 3e-3, 0.3]))
    return NoiseSchedule.from_dict(document)


def schedule_of(levels: int, p_mean: float = -1.1, rho: float = 7.0) -> NoiseSchedule:
    document = PRESETS["ict"].schedule.to_dict()
    return NoiseSchedule.from_dict(
        {
            "noise": {**document["noise"], "p_mean": p_mean},
            "curriculum": {"name": "constant", "levels": levels},
            "grid": {**document["grid"], "rho": rho},
        }
    )


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often what takes long was called."""
    found: Counter[str] = Counter()

    def counted(name: str) -> None:
        plain = getattr(equality, name)

        def call(*arguments: Any) -> Any:
            found[name] += 1
            return plain(*arguments)

        monkeypatch.setattr(equality, name, call)

    for name in ("features", "equal"):
        counted(name)
    return found


def test_the_short_cuts_spare_what_takes_long(calls: Counter[str]) -> None:
    known, alike = KnownSchedules(K), [-2.5 + 0.1 * n for n in range(10)]
    for number, p_mean in enumerate(alike):  # as many levels, and visited otherwise
        known.add(number, schedule_of(1000, p_mean))
    for number in range(10):  # as many levels at no time
        known.add(20 + number, schedule_of(10 * (number + 1)))
    assert known.find(schedule_of(1000)) is None
    # Only schedules with as many levels are looked at, and none of them is compared in full.
    assert calls == {"features": 1 + len(alike)}
    assert known.find(schedule_of(1000, 0.0)) is None
    assert calls == {"features": 2 + len(alike)}  # what was found out is kept
    assert known.find(schedule_of(1000, alike[3])) == 3
    assert calls["equal"] == 1
    before = calls.copy()
    assert known.find(schedule_of(2000)) is None
    assert calls == before  # none is near: nothing is looked at


def test_the_levels_of_both_halves_of_a_run_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("the numbers of levels tell them apart")

    monkeypatch.setattr(equality, "features", never)
    doubling = {
        "name": "exponential",
        "s0": 10,
        "doublings": 1,
    }  # 11 levels, from the middle of the run on 21
    for levels in (11, 21):
        known = KnownSchedules(K)
        known.add(0, schedule_of(levels))
        assert (
            known.find(NoiseSchedule.from_dict({**schedule_of(11).to_dict(), "curriculum": doubling})) is None
        )


def test_the_first_equal_schedule_is_found_whatever_was_removed() -> None:
    rng = random.Random(0)
    presets = [PRESETS[name].schedule for name in ("ict", "ict_short", "gokmen_constant", "hang_gu_laplace")]
    known, plain = KnownSchedules(K), dict[int, NoiseSchedule]()
    found = 0
    for number in range(120):
        schedule = near(rng.choice(presets), rng)
        expected = next((n for n, other in plain.items() if equal(schedule, other, K)), None)
        assert known.find(schedule) == expected
        found += expected is not None
        known.add(number, schedule)
        plain[number] = schedule
        if rng.random() < 0.3:
            gone = rng.choice(list(plain))
            known.remove(gone)
            del plain[gone]
    assert 20 < found < 120


def test_the_short_cuts_pass_over_nothing_at_the_edge_of_the_tolerance() -> None:
    first, known = schedule_of(1000), KnownSchedules(K)
    known.add(0, first)
    near_ones = [schedule_of(1000, rho=7.0 + step / 100) for step in range(40)]
    near_ones += [schedule_of(levels) for levels in range(1000, 1040, 2)]
    found = [known.find(other) == 0 for other in near_ones]
    assert found == [equal(first, other, K) for other in near_ones]
    assert 4 < sum(found) < 58


def test_a_sketch_tells_all_but_what_is_at_the_edge_of_the_tolerance(calls: Counter[str]) -> None:
    """These are moved along ln sigma: sketches differ as much as the schedules."""
    known = KnownSchedules(K)
    known.add(0, schedule_of(1000))
    moved = [schedule_of(1000, p_mean=-1.1 + step / 500) for step in range(40)]
    found = [known.find(other) == 0 for other in moved]
    assert calls["equal"] - sum(found) <= 1
    assert found == [equal(schedule_of(1000), other, K) for other in moved]
    assert 20 < sum(found) < 30
