"""Other settings: what is trained there, what is said of it, what the answer of the search is then."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search import cli
from search.commands import hold
from search.evidence.conclusion import sentence, setting_lines
from search.evidence.holding import HoldRules, in_settings, wanted
from search.evidence.leaderboard import Leaderboard, leaderboard
from search.evidence.race import RaceRules, Standing, standing
from search.evidence.row import ratio_text
from search.file.spec import SearchSpec, SpecError, spec_of
from search.file.yaml12 import parse_document
from search.policy.conductor import Conductor
from search.record import Purpose, State, TrialRecord
from search.running.search import Search
from search.simulator.trials_in_memory import TrialsInMemory
from search.winner.document import export_document
from spaces import load_schedule
from tests.one_by_one import check_goes_on_to_the_same_end, drive, looks
from tests.records import record, replicates
from tests.search.test_conductor import PLAN, conductor_in
from tests.version_0_2_0 import copied_storage
from trainable.task import WORST_OBJECTIVE

SEEDS = (1, 2, 3, 4)
RACE = RaceRules(top=2, baselines=1, rounds=(2,))
LONGER = "total_steps 400"
RULES = HoldRules(settings={LONGER: 400, "unet": 100}, top=2, rounds=(2, 4), spread=2)
# As searched: trial 1 is worth half of ict, trial 2 three quarters; 3, 4 and 5 were not confirmed.
SEARCHED = [
    record(0, 100.0, preset="ict", purpose=Purpose.BASELINE),
    *(record(number, value) for number, value in ((1, 50.0), (2, 75.0), (3, 80.0), (4, 90.0), (5, 95.0))),
    *replicates(0, [100.0, 101.0], first=6),
    *replicates(1, [50.0, 51.0], first=8),
    *replicates(2, [75.0, 76.0], first=10),
]


def race_of(records: list[TrialRecord]) -> Standing:
    return standing(records, RACE, SEEDS)


def there(of: int, values: list[float], setting: str, **fields: Any) -> list[TrialRecord]:
    """The schedule of trial `of` in a setting, on seeds 1, 2, ..."""
    first = 100 + 1000 * list(RULES.settings).index(setting) + 10 * of
    fields = {"step": RULES.settings[setting], "purpose": Purpose.HOLD, "setting": setting, **fields}
    return replicates(of, values, first=first, **fields)


def wants(records: list[TrialRecord]) -> list[tuple[int, int, str]]:
    return [
        (found.record.number, SEEDS[found.nth], found.setting)
        for found in wanted(records, race_of(records), RULES, SEEDS)
    ]


def board_of(records: list[TrialRecord]) -> Leaderboard:
    return leaderboard("toy", "fd", records, race=race_of(records), num_finalists=2, holds=RULES, seeds=SEEDS)


def test_finalists_and_the_baseline_are_wanted_seed_by_seed_then_a_spread_of_others_on_one() -> None:
    found = wants(SEARCHED)
    assert [entry[:2] for entry in found if entry[2] == LONGER] == [
        *((0, 1), (1, 1), (2, 1), (0, 2), (1, 2), (2, 2)),
        *((3, 1), (5, 1)),  # the best and the worst of those that are left
    ]
    assert [entry[2] for entry in found] == [LONGER] * 8 + ["unet"] * 8


@pytest.mark.parametrize(
    "records",
    [
        [r for r in SEARCHED if r.replicate_of is None],  # nothing is confirmed yet
        [r for r in SEARCHED if 0 not in (r.number, r.replicate_of)],  # there is no baseline
        [
            r for r in SEARCHED if r.purpose is Purpose.BASELINE or r.replicate_of == 0
        ],  # there is nothing else
    ],
)
def test_nothing_is_wanted_without_an_answer_to_ask_about(records: list[TrialRecord]) -> None:
    assert wants(records) == []
    assert in_settings(records, race_of(records), RULES, SEEDS) == ()


def test_seeds_are_added_only_while_a_schedule_is_not_told_from_the_baseline() -> None:
    first_round = [
        *there(0, [50.0, 51.0], LONGER),
        *there(1, [25.0, 25.5], LONGER),  # half of it: decided
        *there(2, [50.5, 50.0], LONGER),  # not told apart
        *there(3, [60.0], LONGER),
        *there(5, [70.0], LONGER),
    ]
    records = [*SEARCHED, *first_round]
    assert [entry[:2] for entry in wants(records) if entry[2] == LONGER] == [(0, 3), (2, 3), (0, 4), (2, 4)]
    decided = [
        *records,
        *there(0, [50.0, 51.0, 50.0, 51.0], LONGER)[2:],
        *there(2, [50.5, 50.0, 50.5, 50.0], LONGER)[2:],
    ]
    assert [entry for entry in wants(decided) if entry[2] == LONGER] == []
    assert in_settings(decided, race_of(decided), RULES, SEEDS)[0].is_over


def test_a_round_is_not_decided_while_a_part_of_it_runs() -> None:
    running = there(2, [50.0, 50.0], LONGER)
    running[1] = replace(running[1], state=State.RUNNING, reports=())
    records = [*SEARCHED, *there(0, [50.0, 51.0], LONGER), *there(1, [25.0, 25.5], LONGER), *running]
    assert [entry[:2] for entry in wants(records) if entry[2] == LONGER] == [(3, 1), (5, 1)]
    assert not in_settings(records, race_of(records), RULES, SEEDS)[0].is_over


def held_everywhere(noise: float = 0.01, **ratios: tuple[float, float]) -> list[TrialRecord]:
    """All settings tried: the ratios of trials 1 and 2 to the baseline in LONGER and in the U-Net."""
    records = list(SEARCHED)
    for setting, (one, two) in zip(RULES.settings, ratios.values(), strict=True):
        base = [10.0, 10.0 * (1 + noise), 10.0 * (1 - noise), 10.0]
        records += there(0, base, setting)
        records += there(1, [one * value for value in base[::-1]], setting)
        records += there(2, [two * value for value in base[::-1]], setting)
        records += there(3, [15.0], setting) + there(5, [20.0], setting)
    return records


def test_a_schedule_that_is_better_everywhere_is_the_answer_and_says_where() -> None:
    board = board_of(held_everywhere(longer=(0.5, 0.8), unet=(0.9, 0.95)))
    assert board.winner is not None and board.winner.record.number == 1
    assert [[held.verdict for held in found.rows] for found in board.settings] == [
        ["tied", "better", "better"]
    ] * 2
    told = sentence(board)
    assert told.startswith("trial 1 is better than the best baseline, ict: fd -50 %")
    assert "better with total_steps 400 (-50 % [" in told and "better with unet (-10 % [" in told
    assert "but" not in told and "So the answer" not in told


def test_a_schedule_that_loses_anywhere_is_not_named_without_that() -> None:
    board = board_of(held_everywhere(longer=(2.0, 0.8), unet=(0.9, 0.95)))
    assert board.winner is not None and board.winner.record.number == 2
    first, _, rest = sentence(board).partition(". ")
    assert (
        first.startswith("trial 1 is better than") and "; but worse with total_steps 400 (+100 % [" in first
    )
    assert rest.startswith("So the answer is trial 2: fd -25 % [")


def test_where_nothing_holds_the_baseline_is_the_answer() -> None:
    board = board_of(held_everywhere(longer=(2.0, 3.0), unet=(8.0, 0.95)))
    assert board.winner is board.baseline
    assert sentence(board).endswith(
        "So the answer is ict: no schedule that is shown to be better anywhere holds in every setting."
    )


SECOND = [
    record(20, 110.0, preset="vp", purpose=Purpose.BASELINE),
    *replicates(20, [110.0, 111.0], first=21),
]


def two_baselines(ict: float, vp: float, one: float) -> Leaderboard:
    """As searched ict is the better preset. In LONGER alone: what they and trial 1 are worth."""
    rules = replace(RULES, settings={LONGER: 400}, top=1, baselines=2, spread=0)
    records = [*SEARCHED, *SECOND]
    for number, value in ((0, ict), (20, vp), (1, one)):
        records += there(number, [value, 1.01 * value, 0.99 * value, value], LONGER)
    race = standing(records, RaceRules(top=2, baselines=2, rounds=(2,)), SEEDS)
    return leaderboard("toy", "fd", records, race=race, num_finalists=2, holds=rules, seeds=SEEDS)


def test_in_a_setting_schedules_are_compared_with_the_preset_that_is_best_there() -> None:
    board = two_baselines(ict=18.0, vp=10.0, one=20.0)
    (found,) = board.settings
    assert found.baseline == 20 and [row.record.number for row in found.rows] == [0, 20, 1]
    assert [row.verdict for row in found.rows] == ["worse", "tied", "worse"]
    assert "worse with total_steps 400 (+100 % [" in sentence(board) and "against vp)" in sentence(board)
    assert setting_lines(board)[0].startswith("With total_steps 400, against vp: ict worse (+80 % [")


@pytest.mark.parametrize(("ict", "vp", "answer"), [(30.0, 10.0, "vp"), (10.2, 10.0, "ict")])
def test_where_nothing_holds_the_answer_is_the_preset_that_loses_least(
    ict: float, vp: float, answer: str
) -> None:
    board = two_baselines(ict, vp, one=20.0)
    assert board.winner is not None and board.winner.label == answer
    here = {"ict": "", "vp": f" (fd {ratio_text(board.winner)} as searched)"}[answer]
    assert sentence(board).endswith(
        f"So the answer is {answer}{here}: no schedule that is shown to be better anywhere holds in every setting. "
        "Of the baselines it loses least where it is not the best."
    )


def test_a_preset_that_was_not_confirmed_may_be_the_best_there_and_is_no_answer() -> None:
    rules = replace(RULES, settings={LONGER: 400}, top=1, baselines=2, spread=0)
    seen_only = [
        record(30, 120.0, preset="vp", purpose=Purpose.BASELINE),
        record(31, 105.0, preset="ecm", purpose=Purpose.BASELINE),
    ]
    records = [*SEARCHED, *seen_only]
    first = wanted(records, race_of(records), rules, SEEDS)
    assert [found.record.number for found in first[:3]] == [0, 31, 1]
    for number, value in ((0, 30.0), (31, 10.0), (1, 20.0)):
        records += there(number, [value, 1.01 * value, 0.99 * value, value], LONGER)
    board = leaderboard(
        "toy", "fd", records, race=race_of(records), num_finalists=2, holds=rules, seeds=SEEDS
    )
    assert board.settings[0].baseline == 31
    assert board.winner is board.baseline and "against ecm)" in sentence(board)


def test_a_preset_of_distance_0_is_the_best_of_those_that_were_not_confirmed() -> None:
    rules = replace(RULES, settings={LONGER: 400}, top=1, baselines=2, spread=0)
    presets = [
        record(n, value, preset=name, purpose=Purpose.BASELINE)
        for n, value, name in ((30, 5.0, "vp"), (31, 0.0, "ecm"))
    ]
    first = wanted([*SEARCHED, *presets], race_of(SEARCHED), rules, SEEDS)
    assert [found.record.number for found in first[:3]] == [0, 31, 1]


def test_another_baseline_widens_what_holds_together() -> None:
    """Of two presets and a proposal three pairs may be compared; without the second preset one."""
    (with_both,) = two_baselines(ict=30.0, vp=10.0, one=20.0).settings
    alone = replace(RULES, settings={LONGER: 400}, top=1, spread=0)
    records = [
        *SEARCHED,
        *there(0, [30.0, 30.3, 29.7, 30.0], LONGER),
        *there(1, [20.0, 20.2, 19.8, 20.0], LONGER),
    ]
    (without,) = in_settings(records, race_of(records), alone, SEEDS)
    widths = []
    for found in (without, with_both):
        row = found.row_of(1)
        assert row is not None and row.ratio is not None and row.ratio.low and row.ratio.high
        widths.append(row.ratio.high / row.ratio.low)
    assert widths[0] < widths[1]


TWO = replace(RULES, settings={LONGER: 400}, top=1, baselines=2, spread=0)


def wants_of_two(*held: list[TrialRecord]) -> list[tuple[int, int]]:
    """Trial and number of its seed, of two presets and a proposal in LONGER."""
    records = [*SEARCHED, *SECOND, *(trial for some in held for trial in some)]
    race = standing(records, RaceRules(top=2, baselines=2, rounds=(2,)), SEEDS)
    return [(found.record.number, found.nth) for found in wanted(records, race, TWO, SEEDS)]


def test_baselines_that_may_be_the_best_are_trained_to_the_last_round() -> None:
    assert TWO.most_trials == 12
    near = [there(number, [10.0, 10.1], LONGER) for number in (0, 20, 1)]
    assert wants_of_two(*near) == [(0, 2), (20, 2), (1, 2), (0, 3), (20, 3), (1, 3)]


def test_which_baselines_go_on_is_known_when_all_have_their_first_seed() -> None:
    assert wants_of_two() == [(0, 0), (20, 0), (1, 0), (1, 1)]
    running = [replace(there(20, [1.0], LONGER)[0], state=State.RUNNING, reports=())]
    assert wants_of_two(there(0, [10.0], LONGER), running) == [(1, 0), (1, 1)]
    assert wants_of_two(there(0, [10.0], LONGER), there(20, [20.0], LONGER)) == [
        (1, 0),
        (0, 1),
        (20, 1),
        (1, 1),
    ]


def test_a_baseline_that_is_far_behind_on_its_first_seed_is_left_out() -> None:
    far = [there(0, [10.0], LONGER), there(20, [20.5], LONGER)]
    assert wants_of_two(*far) == [(1, 0), (0, 1), (1, 1)]
    values = [10.0, 11.0, 10.5, 10.0]
    records = [*SEARCHED, *SECOND, *there(0, values, LONGER), *far[1], *there(1, values, LONGER)]
    race = standing(records, RaceRules(top=2, baselines=2, rounds=(2,)), SEEDS)
    board = leaderboard("toy", "fd", records, race=race, num_finalists=2, holds=TWO, seeds=SEEDS)
    (found,) = board.settings
    assert found.is_over and found.baseline == 0
    assert [row.left_out for row in found.rows] == [False, True, False]
    assert (
        "against ict: vp left out after one seed (+105 %), trial 1 not told apart" in setting_lines(board)[0]
    )


def test_a_baseline_whose_first_trial_fails_is_left_out_where_another_one_has_a_value() -> None:
    failed = [replace(there(20, [1.0], LONGER)[0], state=State.FAILED, reports=())]
    values = [10.0, 11.0, 10.5, 10.0]
    assert wants_of_two(there(0, [10.0], LONGER), failed) == [(1, 0), (0, 1), (1, 1)]
    records = [*SEARCHED, *SECOND, *there(0, values, LONGER), *failed, *there(1, values, LONGER)]
    race = standing(records, RaceRules(top=2, baselines=2, rounds=(2,)), SEEDS)
    (found,) = in_settings(records, race, TWO, SEEDS)
    assert found.is_over and found.baseline == 0 and [row.record.number for row in found.rows] == [0, 1]
    both = [replace(there(0, [1.0], LONGER)[0], state=State.FAILED, reports=())]
    assert wants_of_two(both, failed)[:3] == [(1, 0), (0, 1), (20, 1)]


@pytest.mark.parametrize(("ratio", "holds"), [(1.04, True), (1.06, False)])
def test_a_schedule_that_is_not_told_apart_holds_up_to_a_mean_that_is_as_good(
    ratio: float, holds: bool
) -> None:
    board = board_of(held_everywhere(noise=0.1, longer=(0.5, 1.2), unet=(ratio, 0.95)))
    row = board.settings[1].row_of(1)
    assert row is not None and row.verdict == "tied"
    assert board.winner is not None and (board.winner.record.number == 1) is holds
    assert f"not told apart with unet ({100 * ratio - 100:+.0f} % [" in sentence(board)
    assert ("So the answer is ict" in sentence(board)) is not holds


def test_the_margin_of_what_is_as_good_can_be_asked_for() -> None:
    board = board_of(held_everywhere(noise=0.1, longer=(0.5, 1.2), unet=(1.04, 0.95)))
    strict, wide = board.holding(1.0), board.holding(1.3)
    assert strict is board.baseline
    assert wide is not None and wide.record.number == 1


def held_everywhere_but(number: int) -> list[TrialRecord]:
    """Trial `number` failed on every seed in the U-Net."""
    return [
        replace(r, state=State.FAILED, reports=()) if (r.setting, r.replicate_of) == ("unet", number) else r
        for r in held_everywhere(longer=(0.5, 0.8), unet=(0.9, 0.95))
    ]


@pytest.mark.parametrize(
    "begun",
    [
        there(0, [10.0], LONGER),
        [*there(0, [10.0], LONGER), *there(1, [10.6], LONGER), *there(2, [11.0], LONGER)],
    ],
)
def test_until_schedules_are_compared_elsewhere_the_answer_is_as_searched(begun: list[TrialRecord]) -> None:
    board = board_of([*SEARCHED, *begun])
    assert board.winner is board.best_as_searched is not board.baseline
    assert "So the answer" not in sentence(board)
    assert sentence(board).endswith(f" The comparison with {LONGER}, unet is not at its end.")
    assert document([*SEARCHED, *begun])["holds_at"] == []


def test_a_setting_that_is_compared_decides_while_another_one_is_not() -> None:
    everywhere = held_everywhere(longer=(2.0, 3.0), unet=(0.9, 0.9))
    board = board_of([r for r in everywhere if r.setting != "unet"])
    assert board.winner is board.baseline
    assert sentence(board).endswith(" The comparison with unet is not at its end.")


def test_what_was_compared_counts_when_fewer_are_asked_for_later() -> None:
    """Without a trial more, nothing is told apart that was not."""
    records = [*SEARCHED, *there(0, [10.0, 11.0, 9.0, 10.0], LONGER)]
    for of, times in ((1, 0.8), (2, 1.2)):
        records += there(of, [times * value for value in (9.0, 10.0, 10.0, 11.0)], LONGER)
    race = race_of(records)
    rules = replace(RULES, settings={LONGER: 400})
    found = [
        in_settings(records, race, asked, SEEDS)[0].rows
        for asked in (rules, replace(rules, top=1), replace(rules, rounds=(2,)))
    ]
    assert [row.record.number for row in found[0]] == [0, 1, 2]
    assert found[1] == found[0] and found[2] == found[0]


def test_a_seed_that_only_the_baseline_has_makes_no_schedule_better() -> None:
    records = [*SEARCHED, *there(0, [10.0, 10.1, 9.9], LONGER), *there(1, [20.0, 20.1], LONGER)]
    records += there(2, [10.1, 10.0, 10.0, 10.0], LONGER)
    records += [replace(there(0, [1e9], LONGER, state=State.DIVERGED)[0], number=99, seed=4)]
    (found, _) = in_settings(records, race_of(records), RULES, SEEDS)
    row = found.row_of(1)
    assert found.baseline == 0 and row is not None and row.verdict == "worse"


def test_a_schedule_whose_trials_failed_in_a_setting_does_not_hold_there() -> None:
    board = board_of(held_everywhere_but(1))
    assert board.winner is not None and board.winner.record.number == 2
    assert "; but failed with unet, better with total_steps 400" in sentence(board)
    assert "trial 1 failed." in setting_lines(board)[-2]


def test_where_no_baseline_has_a_value_nothing_is_compared() -> None:
    board = board_of(held_everywhere_but(0))
    assert board.winner is not None and board.winner.record.number == 1
    assert "not compared with unet" in sentence(board)


def test_a_schedule_that_is_tied_is_named_with_where_it_is_worse() -> None:
    tied = [r for r in SEARCHED if r.replicate_of != 2] + replicates(2, [50.5, 50.7], first=10)
    searched = {r.number for r in SEARCHED}
    elsewhere = [r for r in held_everywhere(longer=(0.5, 2.0), unet=(0.9, 3.0)) if r.number not in searched]
    assert f" Tied with it: trial 2 (worse with {LONGER}, unet)." in sentence(board_of([*tied, *elsewhere]))


def test_a_setting_where_a_schedule_diverges_more_often_is_one_where_it_is_worse() -> None:
    records = [
        r
        for r in held_everywhere(longer=(0.5, 0.5), unet=(0.9, 0.9))
        if (r.number, r.setting) != (110, LONGER)
    ]
    records += there(1, [1e9], LONGER, state=State.DIVERGED)
    board = board_of(records)
    row = next(found for found in board.settings if found.setting == LONGER).row_of(1)
    assert row is not None and row.verdict == "worse"
    assert board.winner is not None and board.winner.record.number == 2


def test_that_the_baseline_diverged_once_does_not_show_that_another_is_better() -> None:
    records = [r for r in held_everywhere(longer=(0.5, 0.5), unet=(0.9, 0.9)) if r.setting != LONGER]
    records += there(0, [10.0], LONGER) + replicates(
        0, [WORST_OBJECTIVE], first=102, state=State.DIVERGED, step=400, purpose=Purpose.HOLD, setting=LONGER
    )
    records += there(1, [10.1, 10.0], LONGER) + there(2, [11.0, 10.9], LONGER)
    board = board_of(records)
    longer = next(found for found in board.settings if found.setting == LONGER)
    assert [row.verdict for row in longer.rows] == ["tied", "tied", "tied"]


def test_the_order_of_the_search_is_compared_with_that_of_the_setting() -> None:
    same = in_settings(held_everywhere(longer=(0.5, 0.8), unet=(2.0, 1.5)), race_of(SEARCHED), RULES, SEEDS)
    assert [found.correlation.num_pairs for found in same] == [5, 5]
    # Searched: 1 2 3 5 0. Here: 1 2 0 3 5, and 0 3 2 5 1 or so.
    assert same[0].correlation.value == pytest.approx(0.7)
    assert same[0].correlation.low is not None and same[0].correlation.low < 0.7 < same[0].correlation.high
    assert same[1].correlation.value < 0


def test_values_of_other_settings_are_not_mixed_with_those_of_the_search() -> None:
    plain = leaderboard("toy", "fd", SEARCHED, race=race_of(SEARCHED), num_finalists=2)
    held = board_of(held_everywhere(longer=(0.5, 0.8), unet=(0.9, 0.95)))
    assert [row.to_dict() for row in held.rows] == [row.to_dict() for row in plain.rows]
    assert held.noise == plain.noise and held.audit == plain.audit


# The whole search


HOLDING = replace(PLAN, holds=HoldRules(settings={LONGER: 400}, top=2, rounds=(2, 3), spread=4))


def test_other_settings_come_after_the_confirmation_and_last_as_long_as_they_say(tmp_path: Path) -> None:
    conductor = conductor_in(tmp_path, HOLDING)
    drive(conductor)
    records = list(conductor.records.values())
    held = [r for r in records if r.purpose is Purpose.HOLD]
    assert {r.setting for r in held} == {LONGER}
    assert min(r.number for r in held) > max(r.number for r in records if r.purpose is Purpose.CONFIRM)
    assert {r.reports[-1].step for r in held} == {400}
    assert conductor.num_trials(Purpose.HOLD) == len(held) <= HOLDING.holds.most_trials
    assert str(held[0].decisions[0]).startswith("started: trial ")
    assert "in another setting, total_steps 400" in str(held[0].decisions[0])


@pytest.mark.parametrize("kill_after", [60, 75, 90, 95, 100])
def test_a_driver_that_is_killed_goes_on_to_the_same_end(tmp_path: Path, kill_after: int) -> None:
    check_goes_on_to_the_same_end(HOLDING, tmp_path, kill_after)


def test_time_that_is_not_there_is_not_spent_in_other_settings() -> None:
    clock = iter(range(10**9))
    timed = replace(HOLDING, limits=replace(PLAN.limits, hours=0.02))

    def conductor(plan: Any) -> Conductor:
        return Conductor(plan, TrialsInMemory(), clock=lambda: float(next(clock)))

    without = conductor(timed)
    drive(without)
    assert not any(r.purpose is Purpose.HOLD for r in without.records.values())


def test_the_time_left_counts_other_settings_before_their_pace_is_known() -> None:
    seen, whole = looks(HOLDING)
    assert {look.is_own for look in seen} == {True, False}
    for look in seen:
        assert look.least <= whole - look.at <= look.most < math.inf


# The search file


FILE = """\
name: h
data: digits
training: {total_steps: 200}
presets: [ict]
budget: {max_trials: 8}
"""


def read(text: str) -> SearchSpec:
    return spec_of(parse_document(FILE + text))


def test_a_setting_is_what_is_other_than_in_the_search() -> None:
    spec = read(
        "holds_at:\n- training: {total_steps: 4x}\n- network: {name: film_mlp, width: 32}\n- data: fashion_mnist\n"
    )
    longer, narrow, fashion = spec.settings
    assert [s.name for s in spec.settings] == ["total_steps 800", "film_mlp(width=32)", "fashion_mnist"]
    assert longer.training == replace(spec.training, total_steps=800)
    assert (longer.network, longer.data, longer.extractor) == (
        spec.network,
        spec.data,
        spec.objective.extractor,
    )
    assert (narrow.network.width, narrow.training) == (32, spec.training)
    assert type(fashion.extractor).__name__ == "FashionCNN"
    again = spec_of(parse_document(spec.to_yaml()))
    assert again == spec and again.settings == spec.settings


def test_a_file_without_other_settings_is_written_and_known_as_before() -> None:
    assert "holds_at" not in read("").resolved()
    assert "holds_at" not in read("holds_at:\n").fingerprint_fields()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "holds_at: [{training: {total_steps: 4y}}]",
            "must be a number of steps, or a multiple of the search's such as 4x",
        ),
        ("holds_at: [{}]", r"settings\[0\]: must have at least one of training, network, data"),
        ("holds_at: [{training: {total_steps: 1x}}]", "must be other than the search's own setting"),
        (
            "holds_at: [{training: {total_steps: 400}}, {training: {total_steps: 2x}}]",
            r"settings\[1\]: must be given once",
        ),
        (
            "holds_at: [{training: {batch: 4}}]",
            r"settings\[0\]\.training\.batch: unknown field \(did you mean batch_size",
        ),
        ("holds_at: [{netwrok: mlp}]", r"settings\[0\]\.netwrok: unknown field \(did you mean network"),
        ("holds_at: [{network: mpl}]", r"settings\[0\]\.network\.name: unknown network 'mpl'"),
        ("holds_at: [{training: {total_steps: 2}}]", r"training\.total_steps: stopping\.rungs must be apart"),
        (
            "holds_at: {settings: [{network: mlp}], shortlist: 4}",
            r"holds_at\.shortlist: must be > confirm\.top=4, of so many are to be chosen, but got 4",
        ),
        ("holds_at: {top: 3}", r"holds_at\.top: would have no effect without `settings`"),
        (
            "holds_at: [{data: fashion_mnist}]\nconfirm: {top: 0}",
            "holds_at: compares confirmed trials with the best preset",
        ),
    ],
)
def test_a_setting_that_cannot_be_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message) as error:
        read(text)
    assert len(str(error.value).splitlines()) == 1


# The export


def document(records: list[TrialRecord]) -> dict[str, Any]:
    spec = read("holds_at: [{training: {total_steps: 400}}, {network: {name: unet, channels: [16, 32]}}]")
    header = {
        **{"search": spec.resolved(), "extractor_sha256": "0" * 64, "data_sha256": "1" * 64},
        **{"versions": {}, "git_commit": None},
    }
    return export_document(board_of(records), header)


def test_the_export_says_where_it_holds_and_is_read_back() -> None:
    exported = document(held_everywhere(longer=(0.5, 0.8), unet=(0.9, 0.95)))
    assert exported["searched_at"]["network"]["name"] == "film_mlp"
    longer, unet = exported["holds_at"]
    assert (longer["training"], longer["network"], longer["verdict"]) == (
        {"total_steps": 400},
        None,
        "better",
    )
    assert unet["network"]["channels"] == [16, 32] and unet["baseline"] == "ict"
    assert unet["ratio"] == pytest.approx(0.9) and unet["interval"][0] < 0.9 < unet["interval"][1] < 1
    loaded = load_schedule(exported)
    assert [part.setting for part in loaded.holds_at] == list(RULES.settings)
    assert loaded.warnings == ()


def test_the_export_has_the_values_that_are_compared() -> None:
    """A schedule is better after two seeds; the baseline goes on for another one."""
    records = [
        record
        for record in held_everywhere(longer=(0.5, 0.98), unet=(0.9, 0.95))
        if (record.setting, record.replicate_of) != (LONGER, 1) or record.seed < 3
    ]
    longer = document(records)["holds_at"][0]
    assert longer["verdict"] == "better"
    assert longer["values"].keys() == longer["baseline_values"].keys() == {"1", "2"}


def test_the_export_of_a_schedule_where_the_baseline_diverged_is_read_back() -> None:
    records = [r for r in held_everywhere(longer=(0.5, 0.8), unet=(0.9, 0.95)) if r.setting != LONGER]
    records += there(0, [WORST_OBJECTIVE] * 2, LONGER, state=State.DIVERGED)
    records += there(1, [20.0, 20.1], LONGER) + there(2, [20.0, 20.2], LONGER)
    exported = document(records)
    assert exported["holds_at"][0]["verdict"] == "better"
    assert load_schedule(exported).holds_at[0].verdict == "better"


def test_where_nothing_was_to_be_compared_elsewhere_the_export_says_nothing_of_it() -> None:
    """Every proposal was stopped: the preset alone is confirmed."""
    assert document([r for r in SEARCHED if 0 in (r.number, r.replicate_of)])["holds_at"] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ratio": 0.3}, "`ratio` must be that of the values"),
        ({"verdict": "worse"}, "`verdict` must be what the interval says"),
        ({"interval": [0.2, 3.0]}, "`verdict` must be what the interval says"),
        ({"interval": None}, "`verdict` must be what the interval says"),
        ({"values": {"1": 1e308}, "baseline_values": {"1": 0.0}}, "`ratio` must be that of the values"),
        ({"verdict": "tied"}, "`verdict` must be what the interval says"),
        ({"interval": [0.1, 0.2]}, "`interval` must hold the ratio"),
        ({"values": {"9": 1.0}}, "must have a seed in common"),
        ({"verdict": "perfect"}, "holds_at.0.verdict"),
    ],
)
def test_a_changed_claim_is_refused(change: dict[str, Any], message: str) -> None:
    exported = document(held_everywhere(longer=(0.5, 0.8), unet=(0.9, 0.95)))
    exported["holds_at"][0] |= change
    with pytest.raises(ValueError, match=message):
        load_schedule(exported)


def test_who_loads_a_schedule_is_told_where_it_does_not_hold() -> None:
    exported = document(held_everywhere(longer=(0.5, 0.8), unet=(0.9, 0.95)))
    part = exported["holds_at"][1]
    part["values"] = {seed: 8 * value for seed, value in part["baseline_values"].items()}
    part |= {"ratio": 8.0, "interval": [6.0, 10.0], "verdict": "worse"}
    del exported["provenance"]["document_sha256"]
    assert load_schedule(exported).warnings == (
        "It does not hold with unet: there its distance is 8 times that of ict.",
    )


def test_the_verb_keeps_what_the_file_has_for_other_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = copied_storage(tmp_path / "runs") / "old" / "search.yaml"
    holds_at = "{settings: [{training: {total_steps: 4x}}], top: 1, baselines: 2, spread: 1, rounds: [3]}"
    file.write_text(f"{file.read_text()}\nholds_at: {holds_at}\n")
    asked: list[Search] = []
    monkeypatch.setattr(hold, "carry_out", lambda search, options: asked.append(search) or 0)
    assert cli.main(["hold", str(file), "--at", "network: unet", "--seeds", "4"]) == 0
    (found,) = (search.spec.holds_at for search in asked)
    assert [setting.network is None for setting in found.settings] == [True, False]
    assert (found.top, found.baselines, found.spread, found.rounds) == (1, 2, 1, [3, 4])
