"""The shortlist: the best of a search are tried in other settings before any of them is confirmed."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.evidence.conclusion import setting_lines
from search.evidence.holding import HoldRules, in_settings
from search.evidence.leaderboard import leaderboard
from search.evidence.race import RaceRules, standing
from search.evidence.shortlist import most_entries, next_entries, shortlist
from search.policy.conductor import Conductor
from search.policy.plan import Plan
from search.record import Purpose, State, TrialRecord
from search.screen.status_text import details
from search.simulator.trials_in_memory import TrialsInMemory
from search.stopping.none import NoStopping
from tests.one_by_one import check_goes_on_to_the_same_end, drive, looks
from tests.records import record, replicates
from tests.search.test_conductor import PLAN, conductor_in
from tests.search.test_watch import status

MLP, LONGER = "mlp", "total_steps 400"
RULES = HoldRules(settings={MLP: 100, LONGER: 400}, top=1, rounds=(2,), spread=0, shortlist=4)
RACE = RaceRules(top=1, baselines=1, rounds=(2,))
SEEDS = (1, 2)
# As searched trial 1 is the best, trial 6 the worst.
SEARCHED = [
    record(0, 100.0, preset="ict", purpose=Purpose.BASELINE),
    *(record(number, 10.0 * number) for number in range(1, 7)),
]


def tried(of: int, value: float, setting: str, **fields: Any) -> TrialRecord:
    """Trial `of` of the search once more, elsewhere on its own seed."""
    number = 100 * (1 + list(RULES.settings).index(setting)) + of
    plain: dict[str, Any] = {"purpose": Purpose.SHORTLIST, "setting": setting, "seed": 0, "first": number}
    (found,) = replicates(of, [value], **plain | fields)
    return found


def in_mlp(*values: float) -> list[TrialRecord]:
    return [tried(of, value, MLP) for of, value in enumerate(values, start=1)]


def wants(records: list[TrialRecord], top: int = 1) -> list[tuple[int, str]]:
    return [(entry.record.number, entry.setting) for entry in next_entries(records, RULES, top)]


def test_the_best_of_the_search_are_tried_in_the_first_setting() -> None:
    assert wants(SEARCHED) == [(1, MLP), (2, MLP), (3, MLP), (4, MLP)]


def test_the_better_half_goes_on_by_the_geometric_mean_so_far() -> None:
    # Means: 1 sqrt(10 * 1000) = 100, 2 sqrt(20 * 20) = 20, 3 sqrt(30 * 10) = 17, 4 sqrt(40 * 90) = 60.
    assert wants(SEARCHED + in_mlp(1000.0, 20.0, 10.0, 90.0)) == [(3, LONGER), (2, LONGER)]


def test_nothing_goes_on_while_one_of_them_runs() -> None:
    running = replace(tried(4, 90.0, MLP), state=State.RUNNING, reports=())
    assert wants([*SEARCHED, *in_mlp(1000.0, 20.0, 10.0), running]) == []


def test_as_many_stay_as_are_confirmed() -> None:
    assert wants(SEARCHED + in_mlp(1000.0, 20.0, 10.0, 90.0), top=3) == [
        (3, LONGER),
        (2, LONGER),
        (4, LONGER),
    ]
    assert most_entries(RULES, top=3) == {MLP: 4, LONGER: 3}
    assert most_entries(RULES, top=6) == {MLP: 6, LONGER: 6}
    assert most_entries(RULES, top=1) == {MLP: 4, LONGER: 2}
    assert most_entries(replace(RULES, shortlist=0), top=1) == {MLP: 0, LONGER: 0}


@pytest.mark.parametrize("state", [State.FAILED, State.DIVERGED])
def test_one_that_fails_or_diverges_is_out(state: State) -> None:
    failed = replace(tried(2, 1e9, MLP), state=state)
    assert wants([*SEARCHED, *in_mlp(30.0), failed, *in_mlp(0, 0, 20.0, 90.0)[2:]]) == [
        (1, LONGER),
        (3, LONGER),
    ]


def over() -> list[TrialRecord]:
    longer = [tried(3, 80.0, LONGER), tried(2, 20.0, LONGER)]
    return SEARCHED + in_mlp(1000.0, 20.0, 10.0, 90.0) + longer


def test_its_order_is_that_of_the_finalists() -> None:
    listed = shortlist(over(), RULES, 1)
    assert [one.record.number for one in listed] == [2, 3, 4, 1]
    assert listed[0].mean == pytest.approx(20.0) and listed[0].values == {MLP: 20.0, LONGER: 20.0}
    assert wants(over()) == []
    numbers = [one.record.number for one in listed]
    assert standing(over(), RACE, SEEDS).finalists == {0, 1}
    assert standing(over(), RACE, SEEDS, numbers).finalists == {0, 2}
    assert standing(over(), replace(RACE, top=5), SEEDS, numbers).finalists == {0, 2, 3, 4, 1, 5}


def test_without_a_shortlist_nothing_is_tried_and_nobody_preferred() -> None:
    rules = replace(RULES, shortlist=0)
    assert next_entries(SEARCHED, rules, 1) == [] and shortlist(SEARCHED, rules, 1) == []


def test_a_setting_that_is_asked_for_after_the_confirmation_chooses_nobody() -> None:
    confirmed = [*over(), *replicates(2, [20.0, 21.0], first=300)]
    later = replace(RULES, settings={**RULES.settings, "unet": 100})
    assert next_entries(confirmed, later, 1) == []
    assert [one.record.number for one in shortlist(confirmed, later, 1)] == [2, 3, 4, 1]
    never = [*SEARCHED, *replicates(1, [10.0, 11.0], first=300)]
    assert next_entries(never, RULES, 1) == []


def test_what_is_found_later_joins_it() -> None:
    longer_search = [*over(), record(7, 5.0)]
    assert wants(longer_search) == [(7, MLP)]
    joined = [*longer_search, tried(7, 10.0, MLP)]
    assert wants(joined) == [(7, LONGER)]  # of 7, 1, 2 and 3 the better half: 7 and 3
    listed = shortlist([*joined, tried(7, 9.0, LONGER)], RULES, 1)
    assert [one.record.number for one in listed] == [7, 3, 2, 1]


def test_its_values_are_no_evidence() -> None:
    """What chose a schedule says nothing of it: neither a value nor the noise between seeds."""
    records = [*over(), *replicates(2, [20.0, 21.0], first=300), *replicates(0, [100.0, 101.0], first=310)]
    race = standing(records, RACE, SEEDS, [2])
    board = leaderboard("toy", "fd", records, race=race, num_finalists=1, holds=RULES, seeds=SEEDS)
    plain = [r for r in records if r.purpose is not Purpose.SHORTLIST]
    without = leaderboard("toy", "fd", plain, race=race, num_finalists=1)
    assert [row.to_dict() for row in board.rows] == [row.to_dict() for row in without.rows]
    assert board.noise == without.noise
    assert all(not found.rows for found in in_settings(records, race, RULES, SEEDS))
    assert setting_lines(board)[0] == (
        "Shortlist, geometric means of the search and the settings tried: trial 2 20, trial 3 28.8; "
        "out after mlp: 4, 1."
    )
    first = board.to_dict()["shortlist"][0]
    assert first == {"number": 2, "values": {MLP: 20.0, LONGER: 20.0}, "mean": pytest.approx(20.0)}


def test_one_that_failed_has_no_value_in_json() -> None:
    failed = replace(tried(1, 1.0, MLP), state=State.FAILED, reports=())
    listed = shortlist([*SEARCHED, failed, *in_mlp(0, 20.0, 10.0, 90.0)[1:]], RULES, 1)
    assert math.isinf(listed[-1].mean)
    assert listed[-1].to_dict() == {"number": 1, "values": {MLP: None}, "mean": None}


# The whole search


LISTING = replace(
    PLAN,
    stopping=NoStopping(),
    holds=HoldRules(settings={MLP: 100, LONGER: 400}, top=1, rounds=(2,), spread=0, shortlist=6),
)


def test_it_comes_between_the_search_and_the_confirmation_and_is_as_long_as_it_says(tmp_path: Path) -> None:
    conductor = conductor_in(tmp_path, LISTING)
    assert conductor.num_trials(Purpose.SHORTLIST) == 6 + 3
    drive(conductor)
    records = list(conductor.records.values())
    listed = [r for r in records if r.purpose is Purpose.SHORTLIST]
    assert Counter(r.setting for r in listed) == {MLP: 6, LONGER: 3}
    assert conductor.num_trials(Purpose.SHORTLIST) == len(listed)
    assert {r.seed for r in listed} == {LISTING.seed}
    confirmed = [r for r in records if r.purpose is Purpose.CONFIRM]
    proposals = {
        r.replicate_of for r in confirmed if conductor.records[r.replicate_of or 0].purpose is Purpose.SEARCH
    }
    first = min(r.number for r in confirmed if r.replicate_of in proposals)
    searched = [r.number for r in records if r.purpose is Purpose.SEARCH]
    assert max(searched) < min(r.number for r in listed) and max(r.number for r in listed) < first
    # Elsewhere the order is turned round, so those are confirmed that are the last of the six.
    best = [one.record.number for one in shortlist(records, LISTING.holds, LISTING.race.top)]  # type: ignore
    assert proposals == set(best[: LISTING.race.top])  # type: ignore[union-attr]
    assert "tried in another setting before any is confirmed, mlp" in str(listed[0].decisions[0])


@pytest.mark.parametrize("kill_after", [45, 50, 55, 60, 65, 70])
def test_a_driver_that_is_killed_goes_on_to_the_same_end(tmp_path: Path, kill_after: int) -> None:
    check_goes_on_to_the_same_end(LISTING, tmp_path, kill_after)


@pytest.mark.parametrize("hours", [0.03, 0.04, 0.06])
def test_it_takes_no_time_from_the_confirmation(hours: float) -> None:
    def num_confirmed(plan: Plan) -> int:
        clock = iter(range(10**9))
        timed = replace(plan, limits=replace(PLAN.limits, hours=hours))
        conductor = Conductor(timed, TrialsInMemory(), clock=lambda: float(next(clock)))
        drive(conductor)
        return sum(r.purpose is Purpose.CONFIRM for r in conductor.records.values())

    assert num_confirmed(LISTING) >= num_confirmed(replace(LISTING, holds=None)) > 0


def test_the_time_left_counts_it() -> None:
    seen, whole = looks(LISTING)
    assert {look.is_own for look in seen} == {True, False}
    for look in seen:
        assert look.least <= whole - look.at <= look.most < math.inf


def test_status_says_how_far_it_is() -> None:
    found = status("running")
    found["trials"] |= {"shortlist_ended": 3, "shortlist_most": 14}
    assert "  shortlist 3 of at most 14 trials of the best in other settings" in details(found)
    assert not any("shortlist" in line for line in details(status("running")))
