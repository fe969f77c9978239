"""What the audited trials say of early stopping."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from search.evidence.audit import (
    AuditReport,
    RungQuality,
    audit_report,
    runs_on,
    was_condemned,
)
from search.evidence.rank_correlation import rank_interval
from search.record import Purpose, Report, State, TrialRecord
from tests.records import record


def trial(
    number: int, early: float, late: float | None, condemned: bool = False, reason: str | None = None
) -> TrialRecord:
    values = (50, early), *([] if late is None else [late])
    state = State.STOPPED if late is None else State.COMPLETE
    return record(number, *values, state=state, condemned_at=50 if condemned else None, reason=reason)


def test_a_share_of_the_condemned_runs_on_whatever_their_values() -> None:
    fields = {"num_condemned": 9, "num_audited": 1, "num_trials": 1000}
    audited = [runs_on(share=0.05, seed=3, number=number, **fields) for number in range(4000)]
    # Binomial(4000, .05): mean 200, standard deviation 13.8; 6 sigma.
    assert abs(sum(audited) - 200) < 83
    assert audited == [runs_on(share=0.05, seed=3, number=number, **fields) for number in range(4000)]


@pytest.mark.parametrize("seed", range(20))
def test_a_search_of_twenty_trials_has_one_audit_at_least(seed: int) -> None:
    audited = 0
    for condemned in range(2):
        audited += runs_on(
            share=1e-9,
            seed=seed,
            number=condemned,
            num_condemned=condemned,
            num_audited=audited,
            num_trials=20,
        )
    assert audited == 1
    assert not runs_on(share=0.0, seed=seed, number=5, num_condemned=5, num_audited=0, num_trials=20)


def test_the_audit_that_every_search_has_is_one_of_its_first_condemned_trials() -> None:
    def first_audit(seed: int, num_trials: int) -> int | None:
        counts = {"num_audited": 0, "num_trials": num_trials}
        return next(
            (
                n
                for n in range(num_trials)
                if runs_on(share=1e-9, seed=seed, number=n, num_condemned=n, **counts)
            ),
            None,
        )

    assert {first_audit(seed, 20) for seed in range(20)} == {0, 1}
    assert {first_audit(seed, 80) for seed in range(200)} == set(range(10))  # an eighth of all
    assert {first_audit(seed, 19) for seed in range(20)} == {None}
    assert first_audit(0, 3) is None
    assert not runs_on(share=1e-9, seed=0, number=50, num_condemned=50, num_audited=1, num_trials=80)


def test_a_trial_was_condemned_if_the_rule_and_not_the_budget_stopped_it() -> None:
    assert was_condemned(trial(0, 10.0, None))
    assert not was_condemned(trial(0, 10.0, None, reason="the rest does not fit into the budget"))
    assert not was_condemned(trial(0, 10.0, 9.0, condemned=True))


def test_a_false_stop_is_one_that_would_have_been_a_finalist() -> None:
    records = [trial(n, 10.0 + n, 20.0 + n) for n in range(4)]
    records += [trial(4, 30.0, 20.5, condemned=True), trial(5, 31.0, 40.0, condemned=True)]
    records += [trial(6, 35.0, None), trial(7, 12.0, None, reason="the rest does not fit into the budget")]
    report = audit_report(records, num_finalists=2)
    assert (report.num_condemned, report.num_audited, report.num_false) == (3, 2, 1)
    # Clopper & Pearson 1934 for 1 of 2.
    assert (report.low, report.high) == (pytest.approx(0.0126, abs=1e-4), pytest.approx(0.9874, abs=1e-4))
    assert "2 of them ran on as an audit, 1 would have been a finalist" in report.lines()[0]
    longer = [replace(r, reports=(Report(25, 99.0, 0), *r.reports)) for r in records]
    assert audit_report(longer, num_finalists=2).num_false == 1  # it is the end that counts
    plain = json.loads(json.dumps(report.to_dict()))
    assert (plain["num_condemned"], plain["num_audited"], plain["num_false"]) == (3, 2, 1)
    assert [rung["step"] for rung in plain["rungs"]] == [50]


def test_while_there_are_fewer_finished_trials_than_finalists_any_stop_was_false() -> None:
    records = [trial(0, 10.0, 20.0), trial(1, 30.0, 40.0, condemned=True)]
    assert audit_report(records, num_finalists=2).num_false == 1
    assert audit_report(records, num_finalists=1).num_false == 0


def test_where_nothing_is_confirmed_a_false_stop_is_one_of_the_best() -> None:
    records = [trial(n, 10.0 + n, 20.0 + n) for n in range(4)]
    records += [trial(4, 30.0, 19.5, condemned=True), trial(5, 31.0, 20.5, condemned=True)]
    assert audit_report(records, num_finalists=0).num_false == 1


def test_a_stop_was_not_false_if_the_trial_is_only_as_good_as_the_last_finalist_or_diverged() -> None:
    records = [trial(n, 10.0 + n, 20.0 + n) for n in range(4)]
    audited = trial(4, 30.0, 21.0, condemned=True)
    assert audit_report([*records, audited], num_finalists=2).num_false == 0
    better = trial(4, 30.0, 20.9, condemned=True)
    assert audit_report([*records, better], num_finalists=2).num_false == 1
    diverged = audit_report([*records, replace(better, state=State.DIVERGED)], num_finalists=2)
    assert (diverged.num_condemned, diverged.num_audited, diverged.num_false) == (1, 1, 0)
    # While it runs, or after a failure, it says nothing.
    running = audit_report([*records, replace(better, state=State.RUNNING)], num_finalists=2)
    assert (running.num_condemned, running.num_audited, running.num_false) == (1, 0, 0)


def test_baselines_and_replicates_are_no_part_of_the_audit() -> None:
    own = [trial(n, 10.0 + n, 20.0 + n) for n in range(4)]
    others = [replace(record, purpose=Purpose.BASELINE, condemned_at=50) for record in own]
    assert audit_report([*own, *others], 2) == audit_report(own, 2)


@pytest.mark.parametrize(
    ("num_false", "num_audited", "low", "high"),
    [(0, 0, 0.0, 1.0), (0, 3, 0.0, 0.7076), (3, 3, 0.2924, 1.0), (1, 3, 0.0084, 0.9057)],
)
def test_the_rate_of_false_stops_has_the_interval_of_clopper_and_pearson(
    num_false: int, num_audited: int, low: float, high: float
) -> None:
    values = [10.0 if n < num_false else 90.0 for n in range(num_audited)]
    records = [trial(9, 15.0, 20.0)]
    records += [trial(n, 30.0, value, condemned=True) for n, value in enumerate(values)]
    report = audit_report(records, num_finalists=1)
    assert (report.num_false, report.num_audited) == (num_false, num_audited)
    assert (report.low, report.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_each_rung_below_the_end_has_a_rank_correlation_with_its_interval() -> None:
    ends, early, middle = [1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 1.0, 4.0, 3.0, 5.0], [5.0, 2.0, 3.0, 4.0, 1.0]
    records = [
        replace(trial(n, 1.0, 1.0), reports=(Report(25, a, 0), Report(50, b, 0), Report(100, end, 0)))
        for n, (a, b, end) in enumerate(zip(early, middle, ends, strict=True))
    ]
    first, second = audit_report(records, 1).rungs
    assert (first.step, first.num_trials, second.step) == (25, 5, 50)
    assert first.correlation == pytest.approx(0.8)
    assert second.correlation == pytest.approx(stats.spearmanr(middle, ends).statistic)
    half = stats.t.ppf(0.975, 2) * np.sqrt((1 + 0.8**2 / 2) / 2)
    assert (first.low, first.high) == pytest.approx(tuple(np.tanh(np.arctanh(0.8) + np.array([-half, half]))))
    # A trial that missed a rung, or was stopped there, is left out of it.
    records[4] = replace(records[4], reports=records[4].reports[1:])
    stopped = replace(records[3], state=State.STOPPED)
    assert [rung.num_trials for rung in audit_report([*records, stopped], 1).rungs] == [4, 5]


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, 0.98])
@pytest.mark.parametrize("count", [20, 40])
def test_the_interval_of_a_rank_correlation_holds_what_it_says(correlation: float, count: int) -> None:
    """Of normal pairs, whose rank correlation is (6/pi) asin(r/2)."""
    rng, num_searches = np.random.default_rng(0), 2000
    normal = 2 * np.sin(np.pi * correlation / 6)
    first_SN, own_SN = rng.normal(size=(2, num_searches, count))
    second_SN = normal * first_SN + np.sqrt(1 - normal**2) * own_SN
    ranks_SN = [values.argsort(1).argsort(1) - (count - 1) / 2 for values in (first_SN, second_SN)]
    found_S = (ranks_SN[0] * ranks_SN[1]).sum(1) / (ranks_SN[0][0] ** 2).sum()
    intervals = [rank_interval(float(found), count) for found in found_S]
    held = np.mean([low <= correlation <= high for low, high in intervals])
    # .92 is the least that is claimed; standard deviation .006, 4 sigma below.
    assert held >= 0.92 - 0.024


def quality(early: list[float], late: list[float]) -> RungQuality:
    records = [trial(n, a, b) for n, (a, b) in enumerate(zip(early, late, strict=True))]
    (rung,) = audit_report(records, 1).rungs
    return rung


def test_a_rung_with_few_or_equal_values_has_no_correlation_or_no_interval() -> None:
    assert quality([1.0, 2.0], [1.0, 2.0]) == RungQuality(50, 2, None, None, None)
    assert quality([1.0, 2.0, 3.0], [1.0, 3.0, 2.0]) == RungQuality(50, 3, pytest.approx(0.5), None, None)
    assert quality([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]) == RungQuality(50, 4, 1.0, None, None)
    assert quality([4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0]).low is None  # -1 has no interval either
    assert quality([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 4.0, 3.0]).low is not None
    for sides in (([5.0] * 4, [1.0, 2.0, 3.0, 4.0]), ([1.0, 2.0, 3.0, 4.0], [5.0] * 4)):
        assert quality(*sides) == RungQuality(50, 4, None, None, None)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.3, 0.5, "cannot be told from these trials"),
        (0.5, 0.7, "cannot be told from these trials"),
        (0.3, 0.49, "step 50, is too early"),
        (0.51, 0.7, "step 50, is late enough"),
        (None, None, "cannot be told from so few trials"),
    ],
)
def test_the_verdict_is_on_the_whole_interval_of_the_first_rung(
    low: float | None, high: float | None, words: str
) -> None:
    rungs = (RungQuality(50, 9, 0.4, low, high), RungQuality(75, 9, None, None, None))
    report = AuditReport(num_condemned=3, num_audited=1, num_false=0, low=0.0, high=0.9, rungs=rungs)
    assert words in report.verdict()
    first, *correlations, verdict = report.lines()
    assert "(false-stop rate 95 % in [0.00, 0.90])" in first
    interval = "" if low is None else f" [{low:.2f}, {high:.2f}]"
    assert correlations == [f"Rank correlation of step 50 with the end: 0.40{interval}, 9 trials."]
    assert verdict == report.verdict()
    assert "so few trials" in replace(report, rungs=()).verdict()


def test_a_rung_that_orders_trials_at_random_is_called_too_early() -> None:
    shuffled = [(7 * n) % 31 for n in range(31)]
    random_rung = audit_report([trial(n, float(n), 100.0 + shuffled[n]) for n in range(31)], 3)
    assert "is too early" in random_rung.verdict()
    sure = audit_report([trial(n, float(n), 100.0 + n + (n % 3)) for n in range(31)], 3)
    assert "is late enough" in sure.verdict()
    few = audit_report([trial(n, float(n), 100.0 + n) for n in range(3)], 3)
    assert "cannot be told" in few.verdict()


def test_a_search_without_stopping_has_nothing_to_say() -> None:
    assert audit_report([trial(0, 1.0, 2.0)], 1).lines() == ["Early stopping stopped nothing."]
