"""What is claimed: intervals, paired differences, ties, words."""

import math
import statistics
from collections.abc import Collection

import numpy as np
import pytest
from scipy import stats

from search.evidence.conclusion import sentence
from search.evidence.intervals import PRIOR_DEGREES, Estimate, estimate, ranks, ratio
from search.evidence.leaderboard import Leaderboard, leaderboard
from search.evidence.noise import SeedNoise
from search.evidence.race import RaceRules, standing
from search.record import Purpose, State, TrialRecord
from search.screen.leaderboard_text import lines
from spaces import PRESETS, NoiseSchedule
from spaces.curricula.constant import Constant
from spaces.noise.uniform import Uniform
from spaces.sparkline import sparkline
from tests.records import record

ICT = PRESETS["ict"].schedule
OTHER = PRESETS["gokmen_constant"].schedule


def trial(number: int, value: float | None, **options: object) -> TrialRecord:
    return record(number, *([] if value is None else [value]), **{"schedule": OTHER} | options)


def search(found: list[float], baseline: list[float], seen: float = 30.0) -> Leaderboard:
    """A search with one baseline (number 0) and one finalist (number 1), confirmed on the same seeds."""
    records = [
        trial(0, 70.0, purpose=Purpose.BASELINE, preset="ict", schedule=ICT),
        trial(1, seen),
        trial(2, 90.0, state=State.STOPPED),
        trial(3, None, state=State.FAILED),
    ]
    number = len(records)
    for of, values in ((0, baseline), (1, found)):
        for seed, value in enumerate(values, start=1):
            records.append(trial(number, value, purpose=Purpose.CONFIRM, replicate_of=of, seed=seed))
            number += 1
    return leaderboard("toy", "fd_toy", records)


def test_the_interval_is_students_t_of_the_logarithms() -> None:
    values = [41.0, 45.5, 38.2, 52.1, 44.0]
    found = estimate(values)
    logs = np.log(values)
    low, high = np.exp(stats.t.interval(0.95, 4, loc=np.mean(logs), scale=stats.sem(logs)))
    assert found.mean == pytest.approx(statistics.geometric_mean(values))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert estimate([3.0]).low is None


def test_the_noise_of_other_schedules_counts_as_a_few_more_seeds() -> None:
    """Smyth 2004, equation of the moderated t: the variance is a mean of both, weighted by degrees of freedom.

    As many as variances differ by between schedules; fewer where the noise is itself not well known.
    """
    values = [41.0, 45.5]
    assert PRIOR_DEGREES == 3  # measured: bench/quality/curve_facts.py
    for degrees, prior in ((3, 1.5), (1, 0.75), (10**6, 3.0)):
        found = estimate(values, SeedNoise(0.2, degrees=degrees, num_schedules=4))
        variance = (np.var(np.log(values), ddof=1) + prior * 0.2**2) / (1 + prior)
        error = math.sqrt(variance / 2)
        assert found.standard_error == pytest.approx(error, rel=1e-5)
        assert found.high == pytest.approx(
            found.mean * math.exp(stats.t.ppf(0.975, 1 + prior) * error), rel=1e-5
        )


def test_a_ratio_has_the_noise_that_is_told_of_it() -> None:
    one, other = {1: 41.0, 2: 45.5, 9: 1.0}, {1: 40.0, 2: 50.0, 8: 1.0}
    of_both = SeedNoise(0.2, degrees=10, num_schedules=4).of_ratio_to(SeedNoise(0.1, 3, 2))
    assert (of_both.sd, of_both.degrees) == (pytest.approx(math.hypot(0.2, 0.1)), 3)
    found = ratio(one, other, of_both)
    logs = np.log([41.0 / 40.0, 45.5 / 50.0])
    variance = (np.var(logs, ddof=1) + 1.5 * of_both.sd**2) / (1 + 1.5)
    assert found is not None
    assert found.num_seeds == 2
    assert found.mean == pytest.approx(math.exp(np.mean(logs)))
    assert found.standard_error == pytest.approx(math.sqrt(variance / 2))


def test_intervals_that_hold_together_are_wider() -> None:
    """Bonferroni: of four intervals each errs with 5 % / 4."""
    values = [41.0, 45.5, 38.2]
    found = estimate(values, comparisons=4)
    half = stats.t.ppf(1 - 0.05 / 4 / 2, 2) * stats.sem(np.log(values))
    assert (found.low, found.high) == pytest.approx(
        (found.mean * math.exp(-half), found.mean * math.exp(half))
    )
    seeds = {seed: 1.0 for seed in range(3)}
    assert ratio(dict(enumerate(values)), seeds, comparisons=4) == found


def test_an_interval_fits_into_json_however_wide_it_is() -> None:
    assert estimate([1e9, 1e-9], comparisons=100).high == math.exp(700)


def test_a_ratio_is_shown_to_differ_from_one_only_beyond_it() -> None:
    touching = Estimate(1.0, 1.0, 1.0, num_seeds=3)
    assert not touching.below_one and not touching.above_one
    assert Estimate(0.5, 0.4, 0.9, 3).below_one and not Estimate(0.5, 0.4, 0.9, 3).above_one
    assert Estimate(2.0, 1.1, 3.0, 3).above_one and not Estimate(2.0, 1.1, 3.0, 3).below_one
    assert not Estimate(0.5, None, None, 1).below_one and not Estimate(2.0, None, None, 1).above_one


def test_the_interval_covers_the_true_mean_as_often_as_it_says() -> None:
    """Also where schedules differ in their noise as they do on the digits: variances of three degrees of freedom."""
    rng, noise = np.random.default_rng(0), SeedNoise(0.1, degrees=10**6, num_schedules=10**5)
    covered = 0
    for _ in range(2000):
        sd = 0.1 * math.sqrt(PRIOR_DEGREES / rng.chisquare(PRIOR_DEGREES))
        found = estimate(rng.lognormal(2, sd, size=2).tolist(), noise)
        assert found.low is not None and found.high is not None
        covered += math.log(found.low) <= 2 <= math.log(found.high)
    # Binomial(2000, .95): standard deviation 9.7; 6 sigma fails by chance twice in 1e9.
    assert abs(covered - 1900) < 59


def test_pairing_sees_a_ratio_that_two_intervals_hide() -> None:
    seeds = {seed: 50.0 + 20 * math.sin(seed) for seed in range(6)}
    better = {seed: 0.9 * value * (1 + 0.01 * math.cos(3 * seed)) for seed, value in seeds.items()}
    found = ratio(better, seeds)
    assert found is not None
    assert found.below_one
    assert found.mean == pytest.approx(0.9, abs=0.01)
    assert ranks({0: seeds, 1: better}) == {1: 1, 0: 2}
    assert ratio({1: 3.0}, {2: 3.0}) is None


def test_what_cannot_be_told_apart_shares_a_rank() -> None:
    noisy = {1: {0: 40.0, 1: 50.0, 2: 45.0}, 2: {0: 50.0, 1: 41.0, 2: 46.0}, 3: {0: 90.0, 1: 99.0, 2: 95.0}}
    assert ranks(noisy) == {1: 1, 2: 1, 3: 3}


def test_a_real_win_is_stated_with_its_size() -> None:
    board = search([40, 42, 41, 39, 43], [70, 75, 72, 68, 71])
    assert board.winner is not None
    assert board.winner.record.number == 1
    assert not board.winner.tied
    assert "trial 1 is better than the best baseline, ict: fd_toy -42 % [-4" in sentence(board)
    assert "lower on 5 of 5 fresh seeds" in sentence(board)
    assert board.winner.optimism == pytest.approx(statistics.geometric_mean([40, 42, 41, 39, 43]) - 30)


def test_a_lucky_draw_is_called_tied() -> None:
    board = search([60, 85, 70, 66, 74], [70, 75, 72, 68, 70])
    assert board.winner is board.baseline
    assert board.winner is not None
    assert board.winner.tied
    assert sentence(board).startswith("No schedule is shown to be better than the best baseline, ict.")
    assert "Tied with it: trial 1 (-1 % [-" in sentence(board)


def test_of_tied_winners_the_simplest_is_taken_and_it_is_said() -> None:
    plain = NoiseSchedule(grid=ICT.grid, noise=Uniform(), curriculum=Constant(levels=40))
    records = [
        trial(0, 70.0, purpose=Purpose.BASELINE, preset="ict", schedule=ICT),
        trial(1, 30.0, schedule=ICT),
        trial(2, 31.0, schedule=plain),
    ]
    for of, values in ((0, (70, 71, 69, 70)), (1, (40, 39, 41, 40)), (2, (40.2, 40, 40.4, 40.1))):
        for seed, value in enumerate(values, start=1):
            fields = {"purpose": Purpose.CONFIRM, "replicate_of": of, "seed": seed}
            records.append(trial(len(records), float(value), **fields))
    board = leaderboard("toy", "fd_toy", records)
    assert [row.record.number for row in board.best] == [1, 2]
    assert board.winner is not None
    assert board.winner.record.number == 2  # its mean is within one standard error of the best
    assert "Tied with it: trial 1. Of these it is taken as the simplest (1 options)." in sentence(board)


def test_a_finalist_that_left_the_race_ranks_below_those_that_stayed() -> None:
    values = {
        1: {1: 40.0, 2: 44.0, 3: 42.0, 4: 43.0},
        2: {1: 39.0, 2: 60.0},
        3: {1: 41.0, 2: 43.0, 3: 43.0, 4: 42.0},
    }
    assert ranks(values, contenders={1, 3}) == {1: 1, 3: 1, 2: 3}
    assert ranks(values)[2] == 1  # two seeds tell nothing by themselves


def test_a_finalist_that_left_the_race_ranks_above_a_baseline_that_is_worse() -> None:
    four = {1: 0.0, 2: 1.0, 3: 2.0, 4: 1.0}
    values = {
        0: {seed: 70 + value for seed, value in four.items()},
        1: {seed: 40 + value for seed, value in four.items()},
        2: {1: 60.0, 2: 61.0},
        3: {1: 39.0, 2: 40.0},  # better by its two seeds than the leader by its four
        4: {1: 90.0, 2: 91.0},
        5: {1: 80.0, 2: 81.0},
    }
    kinds = {0: "baseline", 5: "baseline"}
    in_order = ranks(values, contenders={0, 1}, kinds=kinds)
    assert in_order == {1: 1, 3: 2, 2: 3, 0: 4, 5: 5, 4: 6}
    # A baseline that is tied with the best stands beside it.
    values[0] = dict(values[1])
    assert ranks(values, contenders={0, 1}, kinds=kinds) == {0: 1, 1: 1, 3: 3, 2: 4, 5: 5, 4: 6}


def test_a_finalist_that_left_the_race_ranks_below_all_contenders_of_its_kind() -> None:
    sure = {0: 70.0, 1: 30.0, 2: 50.0, 3: 60.0, 4: 90.0}
    values = {number: {seed: value + seed for seed in range(4)} for number, value in sure.items()}
    kinds = {2: "baseline", 3: "baseline", 5: "baseline"}
    # On its two seeds it is better than the baselines that stayed.
    values[5] = {0: 40.0, 1: 41.0}
    in_order = ranks(values, contenders={0, 1, 2, 3, 4}, kinds=kinds)
    assert in_order == {1: 1, 2: 2, 3: 3, 5: 4, 0: 5, 4: 6}


def test_a_finalist_that_left_the_race_never_ranks_above_the_best_of_all() -> None:
    values = {
        number: {seed: value + seed for seed in range(4)} for number, value in {1: 30.0, 2: 50.0}.items()
    }
    values[3] = {0: 10.0, 1: 11.0}
    assert ranks(values, contenders={1, 2}, kinds={3: "baseline"}) == {1: 1, 3: 2, 2: 3}
    # Below contenders of another kind that are as good.
    values[3] = {0: 50.0, 1: 51.0}
    values[2] = dict(values[3])
    assert ranks(values, contenders={1, 2}, kinds={3: "baseline"}) == {1: 1, 2: 2, 3: 3}


def known(one: int, other: int, seeds: Collection[int]) -> SeedNoise:
    """Two seeds tell ratios of 1.2 from 1, not of 1.1."""
    noise = SeedNoise(0.05, degrees=100, num_schedules=50)
    return noise.of_ratio_to(noise)


def on_seeds(*means: float) -> dict[int, dict[int, float]]:
    """Finalists 1, 2, ... with these values on each of two seeds."""
    return {number: {0: mean, 1: mean} for number, mean in enumerate(means, start=1)}


def test_a_group_is_tied_with_its_first() -> None:
    assert ranks(on_seeds(30, 60, 61), known) == {1: 1, 2: 2, 3: 2}
    # The third is tied with the second, but not with the first, and so begins a group.
    assert ranks(on_seeds(30, 33, 36.5), known) == {1: 1, 2: 1, 3: 3}


def test_a_finalist_that_left_the_race_stands_below_whole_groups() -> None:
    kinds = {4: "baseline"}
    assert ranks(on_seeds(30, 50, 90, 60), known, contenders={1, 2, 3}, kinds=kinds) == {
        1: 1,
        2: 2,
        4: 3,
        3: 4,
    }
    assert ranks(on_seeds(30, 60, 62, 61), known, contenders={1, 2, 3}, kinds=kinds) == {
        1: 1,
        2: 2,
        3: 2,
        4: 4,
    }
    # One of its kind in the group is enough.
    kinds = {3: "baseline", 4: "baseline"}
    assert ranks(on_seeds(30, 60, 60, 40), known, contenders={1, 2, 3}, kinds=kinds) == {
        1: 1,
        2: 2,
        3: 2,
        4: 4,
    }


def test_finalists_without_a_common_seed_cannot_be_told_apart() -> None:
    assert ranks({1: {0: 30.0, 1: 31.0}, 2: {2: 90.0, 3: 91.0}}) == {1: 1, 2: 1}


def test_ties_hold_for_all_comparisons_with_the_best_together() -> None:
    """The ratio of the second to the first is above 1 in its own 95 % interval, not in that of two comparisons."""
    first, second = {0: 30.0, 1: 30.0, 2: 30.0}, {0: 34.0, 1: 36.0, 2: 38.0}
    alone, of_two = ratio(second, first), ratio(second, first, comparisons=2)
    assert alone is not None and of_two is not None and alone.above_one and not of_two.above_one
    assert ranks({1: first, 2: second}) == {1: 1, 2: 2}
    assert ranks({1: first, 2: second, 3: {seed: 900.0 + seed for seed in range(3)}}) == {1: 1, 2: 1, 3: 3}


def test_of_finalists_that_diverged_the_one_on_more_seeds_is_worse() -> None:
    values = {1: {0: 1.0, 1: 1e9, 2: 1e9}, 2: {0: 90.0, 1: 91.0, 2: 1e9}, 3: {0: 95.0, 1: 94.0, 2: 1e9}}
    assert ranks(values) == {2: 1, 3: 1, 1: 3}


def test_the_winner_of_pure_noise_is_seldom_called_better() -> None:
    """All schedules are equal; the best of four is compared with the best of two baselines on 6 seeds."""
    rng, claims, repeats = np.random.default_rng(0), 0, 400
    for _ in range(repeats):
        records = [
            trial(
                n,
                70.0,
                purpose=Purpose.BASELINE if n < 2 else Purpose.SEARCH,
                preset="ict" if n < 2 else None,
            )
            for n in range(6)
        ]
        for of in range(6):
            for seed in range(1, 7):
                fields = {"purpose": Purpose.CONFIRM, "replicate_of": of, "seed": seed}
                records.append(trial(len(records), float(rng.lognormal(4, 0.3)), **fields))
        board = leaderboard("toy", "fd_toy", records)
        claims += board.winner is not None and board.winner.is_better
    # At most 5 % are false by design: Binomial(400, .05) has standard deviation 4.4, 6 sigma above 20 is 46.
    assert claims <= 46


def test_unconfirmed_trials_stand_below_and_have_no_rank() -> None:
    board = search([60, 61], [70, 75])
    assert [row.record.number for row in board.rows] == [1, 0, 2, 3]
    assert [row.rank is None for row in board.rows] == [False, False, True, True]


def test_every_row_shows_its_schedule_as_a_density() -> None:
    board = search([60, 61], [70, 75])
    text = lines(board)
    shown = [line for line in text if line.startswith("        |")]
    assert len(shown) == len(board.rows)
    assert all(sparkline(row.record.schedule) in line for row, line in zip(board.rows, shown, strict=True))


def test_a_search_that_is_still_at_its_baselines_shows_their_values() -> None:
    board = leaderboard(
        "toy", "fd_toy", [trial(0, 71.5, purpose=Purpose.BASELINE, preset="ict", schedule=ICT)]
    )
    heading, row = lines(board)[1:3]
    assert heading.endswith("vs baseline   in search")
    assert row.endswith("71.5")


def test_without_confirmation_nothing_wins() -> None:
    board = search([], [])
    assert board.winner is None
    assert board.best_unconfirmed is not None
    assert board.best_unconfirmed.record.number == 1
    assert sentence(board) == "No schedule is confirmed on fresh seeds yet."


def test_a_diverged_replicate_counts_against_its_schedule() -> None:
    board = search([10, 1e9, 10], [70, 75, 72])
    assert [row.rank for row in board.rows[:2]] == [1, 2]
    assert board.winner is board.baseline is board.rows[0]


def test_a_baseline_that_diverged_on_a_fresh_seed_is_not_tied_with_what_did_not() -> None:
    board = search([8, 8.1, 7.9, 8.2, 8], [26, 25, 1e9, 27, 26])
    assert board.winner is not None and board.winner.record.number == 1 and not board.winner.tied
    assert "lower on 5 of 5 fresh seeds, which diverged on 1 of them" in sentence(board)


def test_a_simple_schedule_far_from_the_best_mean_is_not_taken_though_it_is_tied() -> None:
    """A single bad seed makes the baseline's mean uncertain: that is no reason to use it."""
    board = search([8, 8.1, 7.9, 8.2, 8], [26, 25, 505, 7.5, 5])
    assert board.winner is not None and board.winner.tied
    assert board.winner.record.number == 1
    assert "trial 1 is not shown to be better than the best baseline" in sentence(board)


def test_one_of_the_best_that_is_better_than_the_baseline_is_enough() -> None:
    """The best mean, on two seeds yet, says little; another one, on five, is surely better than the baseline."""
    records = [
        trial(0, 70.0, purpose=Purpose.BASELINE, preset="ict", schedule=ICT),
        trial(1, 30.0),
        trial(2, 31.0),
    ]
    for of, values in ((0, (26, 25, 27, 26, 25)), (1, (2, 16)), (2, (8, 8.1, 8.3, 8.2, 8))):
        for seed, value in enumerate(values, start=1):
            fields = {"purpose": Purpose.CONFIRM, "replicate_of": of, "seed": seed}
            records.append(trial(len(records), float(value), **fields))
    board = leaderboard("toy", "fd_toy", records)
    assert [row.record.number for row in board.best][:2] == [1, 2]
    assert not board.best[0].is_better
    assert board.winner is not None and board.winner.record.number == 2


def test_nothing_is_confirmed_before_the_first_round_is_decided() -> None:
    """The noise floor's seeds of a baseline, and a round that still runs, say nothing of the proposals."""
    records = [
        trial(0, 70.0, purpose=Purpose.BASELINE, preset="ict", schedule=ICT),
        trial(1, 30.0),
        *(trial(2 + seed, 70.0 + seed, purpose=Purpose.NOISE, replicate_of=0, seed=seed) for seed in (1, 2)),
        trial(5, 31.0, purpose=Purpose.CONFIRM, replicate_of=1, seed=1),
        trial(6, None, purpose=Purpose.CONFIRM, replicate_of=1, seed=2, state=State.RUNNING),
    ]
    rules = RaceRules(top=1, baselines=1, rounds=(2, 3))

    def board() -> Leaderboard:
        return leaderboard("toy", "fd_toy", records, race=standing(records, rules, (1, 2, 3)))

    assert board().winner is None
    records[-1] = trial(6, 32.0, purpose=Purpose.CONFIRM, replicate_of=1, seed=2)
    decided = board()
    assert decided.winner is not None and decided.winner.record.number == 1
    assert sentence(decided).endswith(" The confirmation is not at its end: 2 trials are missing.")


def test_without_a_confirmed_baseline_nothing_is_compared() -> None:
    records = [trial(0, 70.0, purpose=Purpose.BASELINE, preset="ict", schedule=ICT), trial(1, 30.0)]
    for seed in (1, 2):
        fields = {"purpose": Purpose.CONFIRM, "replicate_of": 1, "seed": seed}
        records.append(trial(len(records), 31.0 + seed, **fields))
    board = leaderboard("toy", "fd_toy", records)
    assert sentence(board) == "Best mean: trial 1. No baseline was confirmed, so it is compared to none."


def test_the_baseline_is_the_one_that_is_confirmed_best_not_the_one_that_looked_best() -> None:
    records = [
        trial(0, 70.0, purpose=Purpose.BASELINE, preset="ict", schedule=ICT),
        trial(1, 50.0, purpose=Purpose.BASELINE, preset="lucky", schedule=OTHER),
        trial(2, 40.0),
    ]
    for of, values in ((0, (66, 65, 67)), (1, (90, 95, 85)), (2, (60, 59.5, 60.5))):
        for seed, value in enumerate(values, start=1):
            fields = {"purpose": Purpose.CONFIRM, "replicate_of": of, "seed": seed}
            records.append(trial(len(records), float(value), **fields))
    board = leaderboard("toy", "fd_toy", records)
    assert board.baseline is not None
    assert board.baseline.label == "ict"
    assert "the best baseline, ict: fd_toy -9 % [" in sentence(board)


def test_a_small_objective_is_shown_with_three_digits() -> None:
    """Of a script, whose measure may be anything."""
    shown = "\n".join(lines(search([0.1556, 0.1581], [0.22, 0.23], seen=0.1499)))
    assert "0.157 [" in shown and "0.15" in shown
