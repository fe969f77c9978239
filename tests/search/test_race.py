"""Confirmation as a race, and the noise that decides who leaves it."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from search.evidence.noise import SeedValues, ln, noise_at_rungs, pooled, values_at_end
from search.evidence.race import RaceRules, Standing, standing
from search.record import Purpose, Report, State, TrialRecord
from spaces import PRESETS
from tests.records import record

ICT = PRESETS["ict"].schedule
RULES = RaceRules(top=2, baselines=1, rounds=(2, 4, 8))
SEEDS = tuple(range(1, 9))


def trial(number: int, value: float, purpose: Purpose = Purpose.SEARCH, **options: object) -> TrialRecord:
    return record(number, (50, 2 * value), value, purpose=purpose, **{"schedule": ICT} | options)


def searched() -> list[TrialRecord]:
    """One baseline and three proposals, of which two are finalists."""
    return [
        trial(0, 70.0, Purpose.BASELINE, preset="ict"),
        trial(1, 30.0),
        trial(2, 31.0),
        trial(3, 50.0),
        trial(4, 20.0, state=State.STOPPED),
    ]


def run_race(records: list[TrialRecord], value: dict[int, float], rules: RaceRules = RULES) -> Standing:
    """Train what is missing until the race is over; values differ from seed to seed by a few per cent."""
    while True:
        now = standing(records, rules, SEEDS)
        if not now.missing:
            return now
        finalist, index = now.missing[0]
        seed = SEEDS[index]
        found = value[finalist.number] * math.exp(0.05 * math.sin(7 * seed + finalist.number))
        fields = {"seed": seed, "replicate_of": finalist.number}
        records.append(trial(len(records), found, Purpose.CONFIRM, **fields))


def replicate(number: int, of: int, value: float | None, **options: object) -> TrialRecord:
    """A confirmation trial; without a value it runs."""
    if value is None:
        options |= {"state": State.RUNNING, "reports": ()}
    return trial(number, value or 0.0, Purpose.CONFIRM, replicate_of=of, **options)


def test_the_length_of_a_race_is_known_before_it() -> None:
    rules = RaceRules()
    assert (rules.first_trials, rules.most_trials) == (12, 48)  # of four proposals and two baselines
    # Rounds of 12, 12 and 24 trials.
    assert [rules.most_turns(slots) for slots in (5, 12, 24)] == [3 + 3 + 5, 1 + 1 + 2, 3]
    assert replace(rules, max_trials=100).most_trials == 48


def test_only_those_that_may_still_be_the_best_get_more_seeds() -> None:
    records = searched()
    now = run_race(records, {0: 70.0, 1: 60.0, 2: 30.0})
    count = {number: sum(r.replicate_of == number for r in records) for number in (0, 1, 2)}
    assert count == {
        0: 8,
        1: 2,
        2: 8,
    }  # the baseline goes on: the winner is compared with it on all its seeds
    assert now.contenders == {0, 2}
    for number in (0, 2):
        assert sorted(r.seed for r in records if r.replicate_of == number) == list(SEEDS)


def test_equal_finalists_race_to_the_end() -> None:
    records = searched()
    assert run_race(records, {0: 70.0, 1: 30.0, 2: 30.5}).contenders == {0, 1, 2}
    assert sum(r.purpose is Purpose.CONFIRM for r in records) == 24


def test_the_race_ends_before_a_round_that_exceeds_its_budget() -> None:
    records = searched()
    rules = replace(RULES, max_trials=13)
    run_race(records, {0: 70.0, 1: 30.0, 2: 30.5}, rules)
    assert sum(r.purpose is Purpose.CONFIRM for r in records) == 12  # two rounds of three finalists
    assert rules.most_trials == 13


@pytest.mark.parametrize(("max_trials", "trained"), [(5, 0), (6, 6), (11, 6), (12, 12)])
def test_a_race_uses_its_budget_of_trials_to_the_last(max_trials: int, trained: int) -> None:
    records = searched()
    now = run_race(records, {0: 70.0, 1: 30.0, 2: 30.5}, replace(RULES, max_trials=max_trials))
    assert sum(r.purpose is Purpose.CONFIRM for r in records) == trained
    assert now.is_decided == (trained > 0)
    assert (now.finalists, now.contenders) == ({0, 1, 2}, {0, 1, 2})


def test_replicates_made_during_the_search_are_no_part_of_the_budget() -> None:
    records = searched()
    records.append(trial(5, 30.0, Purpose.REPLICATE, replicate_of=1, seed=1))
    assert len(standing(records, replace(RULES, max_trials=5), SEEDS).missing) == 5


def first_round(values: dict[int, tuple[float | None, ...]]) -> list[TrialRecord]:
    """A search with these values of its finalists on seeds 1, 2, ...; None: that trial runs."""
    records = searched()
    for number, own in values.items():
        records += [replicate(len(records) + i, number, value, seed=1 + i) for i, value in enumerate(own)]
    return records


def test_the_race_is_decided_from_the_end_of_its_first_round() -> None:
    begin = standing(searched(), RULES, SEEDS)
    assert not begin.is_decided
    assert [(finalist.number, index) for finalist, index in begin.missing] == [
        *((0, 0), (1, 0), (2, 0)),  # seed by seed
        *((0, 1), (1, 1), (2, 1)),
    ]
    assert not standing(first_round({0: (70, 71), 1: (30, 31), 2: (31, None)}), RULES, SEEDS).is_decided
    decided = first_round({0: (70, 71), 1: (30, 31), 2: (31, 32)})
    assert standing(decided, RULES, SEEDS).is_decided
    assert run_race(decided, {0: 70.0, 1: 30.0, 2: 30.5}).is_decided


def test_leaders_run_ahead_on_all_later_seeds_unless_the_trials_of_the_race_are_limited() -> None:
    records = first_round({0: (70, 71), 1: (30, 31), 2: (31, None)})
    ahead = [(finalist.number, index) for finalist, index in standing(records, RULES, SEEDS).ahead]
    assert ahead == [(number, index) for index in range(2, 8) for number in (0, 1)]
    assert standing(records, replace(RULES, max_trials=100), SEEDS).ahead == ()


def test_of_equals_the_first_leads() -> None:
    records = first_round({0: (70, 71), 2: (30, None), 1: (30, 31)})
    records[-1] = replace(records[-1], state=State.RUNNING, reports=())
    assert {finalist.number for finalist, _ in standing(records, RULES, SEEDS).ahead} == {0, 1}


def test_a_seed_of_a_later_round_says_nothing_yet() -> None:
    records = first_round({0: (70, 70), 1: (30, 31), 2: (20, 20.7)})
    assert standing(records, RULES, SEEDS).contenders == {0, 2}
    assert standing([*records, replicate(99, 2, 500.0, seed=3)], RULES, SEEDS).contenders == {0, 2}


def test_a_finalist_that_failed_on_a_seed_stays_for_its_other_values() -> None:
    records = first_round({0: (70, 70.5), 1: (30, 31), 2: (30.2, 31.1)})
    failed = replace(records[-1], state=State.FAILED, reports=(Report(50, 1e9, 0),))
    now = standing([*records[:-1], failed], RULES, SEEDS)
    assert now.contenders == {0, 1, 2}
    assert {index for _, index in now.missing} == {2, 3}  # it is not tried again on the second
    never = replace(records[-2], state=State.FAILED, reports=())
    assert standing([*records[:-2], never, failed], RULES, SEEDS).contenders == {0, 1}


def test_finalists_that_diverge_equally_often_are_told_apart_by_the_other_values() -> None:
    records = first_round({0: (70, 70), 1: (30, 1e9), 2: (30.5, 1e9)})
    assert standing(records, RULES, SEEDS).contenders == {0, 1, 2}
    records = first_round({0: (70, 70), 1: (30, 31), 2: (30.5, 1e9)})
    assert standing(records, RULES, SEEDS).contenders == {0, 1}


def test_a_proposal_is_a_finalist_only_by_a_finished_trial() -> None:
    records = [
        *searched(),
        trial(5, 1.0, state=State.DIVERGED),
        trial(6, 2.0, Purpose.REPLICATE, replicate_of=1),
    ]
    assert standing(records, RULES, SEEDS).finalists == {0, 1, 2}
    tied = [trial(2, 30.0), trial(1, 30.0), trial(3, 30.0)]
    assert standing(tied, RULES, SEEDS).finalists == {1, 2}


def test_a_round_is_decided_when_all_of_it_is_there() -> None:
    records = searched()
    for _ in range(6):
        finalist, index = standing(records, RULES, SEEDS).missing[0]
        fields = {
            "seed": SEEDS[index],
            "replicate_of": finalist.number,
            "state": State.RUNNING,
            "reports": (),
        }
        records.append(trial(len(records), 30.0, Purpose.CONFIRM, **fields))
    assert not standing(records, RULES, SEEDS).missing
    # A free slot goes on with those that lead: here one replicate of the last round still runs.
    done = [
        replace(r, state=State.COMPLETE, reports=(Report(100, 30.0 + r.number, 0),)) for r in records[5:10]
    ]
    waiting = standing([*records[:5], *done, records[10]], RULES, SEEDS)
    assert not waiting.missing
    assert {finalist.number for finalist, _ in waiting.ahead} == {0, 2}
    assert waiting.ahead[0][1] == 2  # the third seed
    # What runs ahead does not hold up the round that it is not part of.
    records[10] = replace(
        records[10], state=State.COMPLETE, reports=(Report(100, 30.0 + records[10].number, 0),)
    )
    fields = {"seed": SEEDS[2], "replicate_of": 0, "state": State.RUNNING, "reports": ()}
    ahead = trial(11, 30.0, Purpose.CONFIRM, **fields)
    assert standing([*records[:5], *done, records[10], ahead], RULES, SEEDS).missing


def test_what_was_decided_is_decided_again_with_more_values() -> None:
    records = searched()
    run_race(records, {0: 70.0, 1: 34.0, 2: 30.0})
    left = [standing(records[:end], RULES, SEEDS).contenders for end in range(5, len(records) + 1)]
    assert all(later <= earlier for earlier, later in itertools.pairwise(left))


def test_a_diverged_replicate_neither_stays_nor_hides_the_others() -> None:
    records = searched()
    now = run_race(records, {0: 70.0, 1: 1e9, 2: 30.0})
    assert 1 not in now.contenders
    records = searched()
    run_race(records, {0: 70.0, 1: 30.0, 2: 30.5})
    spoilt = [replace(r, state=State.DIVERGED) if r.replicate_of == 1 and r.seed == 2 else r for r in records]
    spoilt = [replace(r, reports=(Report(100, 1e9, 0),)) if r.state is State.DIVERGED else r for r in spoilt]
    assert standing(spoilt, RULES, SEEDS).contenders == {0, 2}


def test_replicates_of_the_noise_floor_are_part_of_the_race() -> None:
    records = searched()
    for seed in (1, 2, 3):
        records.append(trial(len(records), 70.0 + seed, Purpose.NOISE, seed=seed, replicate_of=0))
    missing = {(finalist.number, SEEDS[index]) for finalist, index in standing(records, RULES, SEEDS).missing}
    assert missing == {(1, 1), (1, 2), (2, 1), (2, 2)}


@pytest.mark.parametrize("rounds", [(), (1, 2), (4, 2), (2, 2)])
def test_rounds_must_increase_from_two(rounds: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="`rounds` must increase and begin with at least 2"):
        RaceRules(rounds=rounds)


def test_the_best_of_equals_stays_in_the_race() -> None:
    """With equal schedules each leaves with 5 % at most per decision: few races lose one of two proposals."""
    rng, left = np.random.default_rng(1), 0
    for _ in range(60):
        records = searched()
        while True:
            now = standing(records, RULES, SEEDS)
            if not now.missing:
                break
            finalist, index = now.missing[0]
            fields = {"seed": SEEDS[index], "replicate_of": finalist.number}
            records.append(trial(len(records), float(rng.lognormal(3, 0.3)), Purpose.CONFIRM, **fields))
        left += 2 - len(now.contenders - {0})
    # Two looks decide, after 2 and 4 seeds: 2 * 5 % of 60 = 6, sd 2.4; 6 sigma.
    assert left <= 6 + 15


def test_after_the_last_round_nobody_leaves() -> None:
    """What all seeds say is told by intervals that hold together, not by a test of each for itself."""
    records = searched()
    rules = replace(RULES, rounds=(8,))
    assert run_race(records, {0: 70.0, 1: 60.0, 2: 30.0}, rules).contenders == {0, 1, 2}
    records = first_round({0: (70, 70), 1: (30, 31), 2: (30.5, 1e9)})
    assert standing(records, replace(RULES, rounds=(2,)), SEEDS).contenders == {0, 1, 2}


def test_a_baseline_that_the_noise_floor_tells_from_the_best_is_not_raced() -> None:
    records = [
        trial(0, 70.0, Purpose.BASELINE, preset="ict"),
        trial(1, 72.0, Purpose.BASELINE, preset="vp"),
        trial(2, 140.0, Purpose.BASELINE, preset="ct"),
        trial(3, 30.0),
    ]
    rules = replace(RULES, baselines=3)
    assert standing(records, rules, SEEDS).finalists == {0, 1, 2, 3}  # no noise is known
    for seed in (1, 2, 3):
        value = 70.0 * math.exp(0.02 * math.sin(seed))
        records.append(trial(len(records), value, Purpose.NOISE, seed=seed, replicate_of=0))
    assert standing(records, rules, SEEDS).finalists == {0, 1, 3}
    # Also where no noise is seen at all, the best itself stays.
    records[4:] = [replace(record, reports=records[0].reports) for record in records[4:]]
    assert standing(records, rules, SEEDS).finalists == {0, 3}


def test_each_trial_counts_once_in_the_noise_of_a_round() -> None:
    """The noise floor's seeds are the first ones of the race."""
    records = searched()
    for seed in (1, 2, 3):
        records.append(trial(len(records), 70.0 + seed, Purpose.NOISE, seed=seed, replicate_of=0))
    run_race(records, {0: 70.0, 1: 30.0, 2: 30.5})
    noise = values_at_end(records, SEEDS[:2]).noise
    assert noise is not None
    assert (noise.degrees, noise.num_schedules) == (3 + 1 + 1, 3)


@pytest.mark.parametrize(("times", "is_raced"), [(0.99, True), (1.01, False)])
def test_a_baseline_must_be_worse_by_what_two_single_values_differ_by_chance(
    times: float, is_raced: bool
) -> None:
    """Student's t with as many degrees of freedom as the noise floor has, of a difference of two values."""
    logs = (0.0, 0.1, -0.05, 0.02)
    records = [trial(0, 70.0, Purpose.BASELINE, preset="ict")]
    for seed in (1, 2, 3):
        value = 70.0 * math.exp(logs[seed])
        records.append(trial(len(records), value, Purpose.NOISE, seed=seed, replicate_of=0))
    margin = stats.t.ppf(0.975, 3) * math.sqrt(2) * np.std(logs, ddof=1)
    records.append(trial(9, 70.0 * math.exp(times * margin), Purpose.BASELINE, preset="vp"))
    assert (9 in standing(records, replace(RULES, baselines=2), SEEDS).finalists) is is_raced


@pytest.mark.parametrize(("seeds", "is_kept"), [(1, False), (2, True), (3, True)])
def test_a_winner_is_kept_if_it_was_in_the_first_round_to_its_end(seeds: int, is_kept: bool) -> None:
    records = [*searched(), *(replicate(10 + seed, 3, 50.0, seed=seed) for seed in range(1, seeds + 1))]
    assert (3 in standing(records, RULES, SEEDS).finalists) is is_kept
    # A trial that failed is no seed; nor is a baseline, or a proposal with fewer seeds, such a winner.
    records[-1] = replace(records[-1], state=State.FAILED, reports=())
    assert (3 in standing(records, RULES, SEEDS).finalists) is (seeds == 3)
    records += [replicate(20 + seed, 2, 50.0, seed=seed) for seed in range(1, 5)]
    assert standing(records, RULES, SEEDS).finalists == {0, 1, 2}


def test_a_later_race_keeps_the_winners_of_an_earlier_one() -> None:
    records = searched()
    run_race(records, {0: 70.0, 1: 30.0, 2: 30.5})
    records += [trial(100, 2.0), trial(101, 3.0)]  # luckier than any
    now = standing(records, RULES, SEEDS)
    assert now.finalists == {0, 1, 2, 100, 101}
    assert {finalist.number for finalist, _ in now.missing} == {100, 101}
    for finalist, index in now.missing:
        fields = {"seed": SEEDS[index], "replicate_of": finalist.number}
        records.append(trial(200 + len(records), 29.0, Purpose.CONFIRM, **fields))
    # Whatever the first round says of them: they have been through all of it.
    assert {1, 2} <= standing(records, RULES, SEEDS).contenders


def test_noise_is_pooled_over_schedules_on_the_log_scale() -> None:
    rng = np.random.default_rng(0)
    groups = [rng.lognormal(mean, 0.25, size=4).tolist() for mean in rng.uniform(2, 6, size=500)]
    noise = pooled(groups)
    assert noise is not None
    assert (noise.degrees, noise.num_schedules) == (1500, 500)
    assert noise.sd == pytest.approx(0.25, abs=6 * 0.25 / math.sqrt(2 * 1500))  # 6 sigma
    assert pooled([[3.0], [4.0]]) is None
    # One value says nothing of noise.
    assert pooled([[3.0, 4.0], [5.0]]) == pooled([[3.0, 4.0]])


def sd(*values: float) -> float:
    return float(np.std(np.log(values), ddof=1))


def test_the_noise_of_a_schedule_is_that_of_the_others_of_its_kind_and_of_its_unused_seeds() -> None:
    """Its own values make its own variance already: they count once."""
    objectives = {
        0: {1: 70.0, 2: 71.0, 3: 75.0},
        1: {1: 30.0, 2: 40.0},
        2: {1: 31.0, 2: 33.0},
        3: {1: 9.0, 2: 8.0},
    }
    kinds = {0: "baseline", 1: "proposal", 2: "proposal", 3: "proposal"}
    known = SeedValues(objectives, kinds)
    assert known.noise_of(1, {1: {1, 2}}) == pooled([[31.0, 33.0], [9.0, 8.0]])
    assert known.noise_of(0, {0: {1, 2, 3}}) is None
    unused = known.noise_of(0, {0: {1}})
    assert unused is not None and (unused.sd, unused.degrees) == (pytest.approx(sd(71.0, 75.0)), 1)
    assert SeedValues(objectives).noise_of(1, {1: {1, 2}}) == pooled(
        [[70.0, 71.0, 75.0], [31.0, 33.0], [9.0, 8.0]]
    )


def test_the_noise_of_a_ratio_is_that_of_both_but_of_neithers_own_values() -> None:
    objectives = {0: {1: 70.0, 2: 71.0, 3: 75.0, 4: 77.0}, 1: {1: 30.0, 2: 40.0}, 2: {1: 31.0, 2: 33.0}}
    known = SeedValues(objectives, {0: "baseline", 1: "proposal", 2: "proposal"})
    found = known.noise_of_ratio(1, 0, {1, 2})
    assert found is not None
    assert found.sd == pytest.approx(math.hypot(sd(31.0, 33.0), sd(75.0, 77.0)))
    assert found.degrees == 1
    assert known.noise_of_ratio(1, 2, {1, 2}) is None  # there is no third proposal
    assert known.noise_of_ratio(1, 0, {1, 2, 3}) is None  # one seed alone says nothing of noise


def test_a_logarithm_is_finite_where_rounding_left_no_distance() -> None:
    assert ln(0.0) == ln(-1e-9) == ln(1e-12) == math.log(1e-12)
    assert ln(1e-11) == math.log(1e-11)


def test_a_schedule_that_diverged_with_some_seed_gives_no_noise() -> None:
    records = [trial(0, 70.0, Purpose.BASELINE)]
    records += [trial(n, 70.0 + n, Purpose.NOISE, replicate_of=0, seed=n) for n in (1, 2)]
    assert set(noise_at_rungs(records)) == {50, 100}
    assert noise_at_rungs([*records[:2], replace(records[2], state=State.DIVERGED)]) == {}


def test_the_noise_of_the_race_is_that_at_the_full_budget() -> None:
    records = [trial(0, 70.0, Purpose.BASELINE)]
    records.append(trial(1, 70.0, Purpose.NOISE, replicate_of=0, seed=1))
    records[1] = replace(records[1], reports=(Report(50, 140.0, 0), Report(100, 70.0 * math.exp(0.2), 0)))
    noise = values_at_end(records, ()).noise
    assert noise is not None and noise.sd == pytest.approx(0.2 / math.sqrt(2))
    assert values_at_end(records[:1], ()).noise is None


def test_a_proposal_counts_by_its_fresh_seeds_only() -> None:
    """It was replicated because its value was low: with it the noise would look larger than it is."""
    records = [trial(0, 70.0, Purpose.BASELINE), trial(1, 1.0)]
    for of in (0, 1):
        for seed in (1, 2):
            records.append(trial(len(records), 70.0, Purpose.CONFIRM, replicate_of=of, seed=seed))
    noise = noise_at_rungs(records)
    assert {step: (found.sd, found.degrees) for step, found in noise.items()} == {
        50: (0.0, 3),
        100: (0.0, 3),
    }
