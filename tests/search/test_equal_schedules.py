"""Which of the known schedules a proposal equals: the short cuts find what the distance alone finds."""

import random

from search.policy.equal_schedules import KnownSchedules
from spaces import PRESETS, NoiseSchedule
from spaces.equality import equal

K = 2000


def near(schedule: NoiseSchedule, rng: random.Random) -> NoiseSchedule:
    """The same, or changed by less or by more than the tolerance."""
    document = schedule.to_dict()
    document["grid"]["rho"] = document["grid"].get("rho", 7.0) * (1 + rng.choice([0, 1e-4, 3e-3, 0.3]))
    return NoiseSchedule.from_dict(document)


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
    def schedule(rho: float, levels: int) -> NoiseSchedule:
        document = PRESETS["ict"].schedule.to_dict()
        curriculum = {"name": "constant", "levels": levels}
        return NoiseSchedule.from_dict(
            {**document, "grid": {**document["grid"], "rho": rho}, "curriculum": curriculum}
        )

    first, known = schedule(7.0, 1000), KnownSchedules(K)
    known.add(0, first)
    near_ones = [schedule(7.0 + step / 100, 1000) for step in range(40)]
    near_ones += [schedule(7.0, levels) for levels in range(1000, 1040, 2)]
    found = [known.find(other) == 0 for other in near_ones]
    assert found == [equal(first, other, K) for other in near_ones]
    assert 4 < sum(found) < 58
