"""What the audited trials say of early stopping."""

import pytest

from search.evidence.audit import audit_report, runs_on
from search.record import State, TrialRecord
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


def test_a_false_stop_is_one_that_would_have_been_a_finalist() -> None:
    records = [trial(n, 10.0 + n, 20.0 + n) for n in range(4)]
    records += [trial(4, 30.0, 20.5, condemned=True), trial(5, 31.0, 40.0, condemned=True)]
    records += [trial(6, 35.0, None), trial(7, 12.0, None, reason="the rest does not fit into the budget")]
    report = audit_report(records, num_finalists=2)
    assert (report.num_condemned, report.num_audited, report.num_false) == (3, 2, 1)
    # Clopper & Pearson 1934 for 1 of 2.
    assert (report.low, report.high) == (pytest.approx(0.0126, abs=1e-4), pytest.approx(0.9874, abs=1e-4))
    assert "2 of them ran on as an audit, 1 would have been a finalist" in report.lines()[0]


def test_while_there_are_fewer_finished_trials_than_finalists_any_stop_was_false() -> None:
    records = [trial(0, 10.0, 20.0), trial(1, 30.0, 40.0, condemned=True)]
    assert audit_report(records, num_finalists=2).num_false == 1
    assert audit_report(records, num_finalists=1).num_false == 0


def test_where_nothing_is_confirmed_a_false_stop_is_one_of_the_best() -> None:
    records = [trial(n, 10.0 + n, 20.0 + n) for n in range(4)]
    records += [trial(4, 30.0, 19.5, condemned=True), trial(5, 31.0, 20.5, condemned=True)]
    assert audit_report(records, num_finalists=0).num_false == 1


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
