"""What is claimed: intervals, paired differences, ties, words."""

import math
import statistics

import numpy as np
import pytest
from scipy import stats

from search.confirm import estimate, paired_difference, ranks
from search.leaderboard import Leaderboard, leaderboard
from search.record import Report, Stage, State, TrialRecord
from spaces import PRESETS, NoiseSchedule
from spaces.curricula.constant import Constant
from spaces.noise.uniform import Uniform

ICT = PRESETS["ict"].schedule
OTHER = PRESETS["gokmen_constant"].schedule


def trial(number: int, value: float | None, **options: object) -> TrialRecord:
    reports = () if value is None else (Report(step=100, objective=value, time_ms=0),)
    given = {"stage": Stage.SEARCH, "state": State.COMPLETE, "schedule": OTHER, "seed": 0, **options}
    return TrialRecord(number=number, reports=reports, **given)  # type: ignore[arg-type]


def search(found: list[float], baseline: list[float], seen: float = 30.0) -> Leaderboard:
    """A search with one baseline (number 0) and one finalist (number 1), confirmed on the same seeds."""
    records = [
        trial(0, 70.0, stage=Stage.BASELINE, preset="ict", schedule=ICT),
        trial(1, seen),
        trial(2, 90.0, state=State.STOPPED),
        trial(3, None, state=State.FAILED),
    ]
    number = len(records)
    for of, values in ((0, baseline), (1, found)):
        for seed, value in enumerate(values, start=1):
            records.append(trial(number, value, stage=Stage.CONFIRM, replicate_of=of, seed=seed))
            number += 1
    return leaderboard("toy", "fd_toy", records)


def test_the_interval_is_students_t() -> None:
    values = [41.0, 45.5, 38.2, 52.1, 44.0]
    found = estimate(values)
    low, high = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    assert found.mean == pytest.approx(statistics.mean(values))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert estimate([3.0]).low is None


def test_the_interval_covers_the_true_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        found = estimate(rng.normal(10, 3, size=5).tolist())
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 10 <= found.high
    # Binomial(2000, .95): standard deviation 9.7; 6 sigma fails by chance twice in 1e9.
    assert abs(covered - 1900) < 59


def test_pairing_sees_a_difference_that_two_intervals_hide() -> None:
    seeds = {seed: 50.0 + 20 * math.sin(seed) for seed in range(6)}
    better = {seed: value - 5 + 0.5 * math.cos(3 * seed) for seed, value in seeds.items()}
    difference = paired_difference(better, seeds)
    assert difference is not None
    assert difference.excludes_zero
    assert difference.mean == pytest.approx(-5, abs=0.5)
    assert ranks({0: seeds, 1: better}) == {1: 1, 0: 2}


def test_what_cannot_be_told_apart_shares_a_rank() -> None:
    noisy = {1: {0: 40.0, 1: 50.0, 2: 45.0}, 2: {0: 50.0, 1: 41.0, 2: 46.0}, 3: {0: 90.0, 1: 99.0, 2: 95.0}}
    assert ranks(noisy) == {1: 1, 2: 1, 3: 3}


def test_a_real_win_is_stated_with_its_size() -> None:
    board = search([40, 42, 41, 39, 43], [70, 75, 72, 68, 71])
    assert board.winner is not None
    assert board.winner.record.number == 1
    assert not board.winner.tied
    assert "trial 1 is better than the best baseline, ict: -30.2" in board.sentence()
    assert "lower on 5 of 5 fresh seeds" in board.sentence()
    assert board.winner.optimism == pytest.approx(41 - 30)


def test_a_lucky_draw_is_called_tied() -> None:
    board = search([60, 85, 70, 66, 74], [70, 75, 72, 68, 71])
    assert board.winner is board.baseline
    assert board.winner is not None
    assert board.winner.tied
    assert board.sentence().startswith("No schedule is shown to be better than the best baseline, ict.")
    assert "Tied with it: trial 1 (-0.2 [" in board.sentence()


def test_of_tied_winners_the_simplest_is_taken_and_it_is_said() -> None:
    plain = NoiseSchedule(grid=ICT.grid, noise=Uniform(), curriculum=Constant(levels=40))
    records = [
        trial(0, 70.0, stage=Stage.BASELINE, preset="ict", schedule=ICT),
        trial(1, 30.0, schedule=ICT),
        trial(2, 31.0, schedule=plain),
    ]
    for of, values in ((0, (70, 71, 69, 70)), (1, (40, 39, 41, 40)), (2, (40.5, 40, 40.8, 41))):
        for seed, value in enumerate(values, start=1):
            fields = {"stage": Stage.CONFIRM, "replicate_of": of, "seed": seed}
            records.append(trial(len(records), float(value), **fields))
    board = leaderboard("toy", "fd_toy", records)
    assert [row.record.number for row in board.best] == [1, 2]
    assert board.winner is not None
    assert board.winner.record.number == 2
    assert "Tied with it: trial 1. Of these it is taken as the simplest (1 options)." in board.sentence()


def test_a_finalist_that_left_the_race_ranks_below_those_that_stayed() -> None:
    values = {
        1: {1: 40.0, 2: 44.0, 3: 42.0, 4: 43.0},
        2: {1: 39.0, 2: 60.0},
        3: {1: 41.0, 2: 43.0, 3: 43.0, 4: 42.0},
    }
    assert ranks(values, contenders={1, 3}) == {1: 1, 3: 1, 2: 3}
    assert ranks(values)[2] == 1  # two seeds tell nothing by themselves


def test_the_winner_of_pure_noise_is_seldom_called_better() -> None:
    """All schedules are equal; the best of four is compared with the best of two baselines on 6 seeds."""
    rng, claims, repeats = np.random.default_rng(0), 0, 400
    for _ in range(repeats):
        records = [
            trial(n, 70.0, stage=Stage.BASELINE if n < 2 else Stage.SEARCH, preset="ict" if n < 2 else None)
            for n in range(6)
        ]
        for of in range(6):
            for seed in range(1, 7):
                fields = {"stage": Stage.CONFIRM, "replicate_of": of, "seed": seed}
                records.append(trial(len(records), float(rng.lognormal(4, 0.3)), **fields))
        board = leaderboard("toy", "fd_toy", records)
        claims += board.winner is not None and board.winner.is_better
    # At most 5 % are false by design: Binomial(400, .05) has standard deviation 4.4, 6 sigma above 20 is 46.
    assert claims <= 46


def test_unconfirmed_trials_stand_below_and_have_no_rank() -> None:
    board = search([60, 61], [70, 75])
    assert [row.record.number for row in board.rows] == [1, 0, 2, 3]
    assert [row.rank is None for row in board.rows] == [False, False, True, True]


def test_without_confirmation_nothing_wins() -> None:
    board = search([], [])
    assert board.winner is None
    assert board.best_unconfirmed is not None
    assert board.best_unconfirmed.record.number == 1
    assert board.sentence() == "No schedule is confirmed on fresh seeds yet."


def test_a_diverged_replicate_counts_against_its_schedule() -> None:
    board = search([10, 1e9], [70, 75])
    assert board.rows[0].record.number == 0


def test_the_baseline_is_the_one_that_is_confirmed_best_not_the_one_that_looked_best() -> None:
    records = [
        trial(0, 70.0, stage=Stage.BASELINE, preset="ict", schedule=ICT),
        trial(1, 50.0, stage=Stage.BASELINE, preset="lucky", schedule=OTHER),
        trial(2, 40.0),
    ]
    for of, values in ((0, (66, 65, 67)), (1, (90, 95, 85)), (2, (60, 59.5, 60.5))):
        for seed, value in enumerate(values, start=1):
            fields = {"stage": Stage.CONFIRM, "replicate_of": of, "seed": seed}
            records.append(trial(len(records), float(value), **fields))
    board = leaderboard("toy", "fd_toy", records)
    assert board.baseline is not None
    assert board.baseline.label == "ict"
    assert "the best baseline, ict: -6.0" in board.sentence()
