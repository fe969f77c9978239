"""What of a script's reports counts."""

import json
import math

import pytest

from trainable.command.reports import Reports, ScriptFailed
from trainable.task import WORST_OBJECTIVE

RUNGS = (100, 200, 400)


def read(*lines: object, rungs: tuple[int, ...] = RUNGS, counter: str = "step") -> Reports:
    reports = Reports("fid", counter, rungs)
    for line in lines:
        reports.take(line if isinstance(line, str) else json.dumps(line), 7)
    return reports


def failure(*lines: object, **options: object) -> str:
    with pytest.raises(ScriptFailed) as caught:
        read(*lines, **options).check_complete()  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_first_objective_at_or_after_a_rung_is_its_report() -> None:
    reports = read(
        {"step": 50, "fid": 90.0, "loss": 3.0},
        {"step": 100, "loss": 2.0, "lr": 0.1, "note": "no number", "ok": True},
        {"step": 100, "fid": 80},
        {"step": 150, "fid": 1.0},
        {"step": 210, "fid": 70.5, "loss": 1.0},
        {"step": 400, "fid": 60.0},
    )
    assert reports.taken == [
        {"step": 100, "objective": 80.0, "time_ms": 7, "metrics": {"fid": 80.0, "loss": 2.0, "lr": 0.1}},
        {"step": 200, "objective": 70.5, "time_ms": 7, "metrics": {"fid": 70.5, "loss": 1.0, "step": 210.0}},
        {"step": 400, "objective": 60.0, "time_ms": 7, "metrics": {"fid": 60.0}},
    ]
    assert reports.next_rung is None
    reports.check_complete()


def test_any_increasing_counter_will_do() -> None:
    lines = [{"kimg": 0.5, "fid": 9.0}, {"kimg": 1.024, "fid": 8.5}, {"kimg": 2.048, "fid": 8.0}]
    reports = read(*lines, rungs=(1, 2), counter="kimg")
    assert [(report["step"], report["metrics"]["kimg"]) for report in reports.taken] == [
        (1, 1.024),
        (2, 2.048),
    ]
    assert "passed over the rung at kimg 1: " in failure(lines[0], lines[2], rungs=(1, 2), counter="kimg")


@pytest.mark.parametrize("value", [math.nan, math.inf, None, 1e9, 10**400])
def test_an_objective_that_is_not_finite_is_a_diverged_trial(value: object) -> None:
    text = str(value) if isinstance(value, int) else json.dumps(value)
    reports = read(f'{{"step": 120, "fid": {text}, "loss": 1.0}}')
    assert reports.has_diverged
    assert reports.taken[0]["metrics"] == {"fid": WORST_OBJECTIVE}
    assert reports.taken[0]["step"] == 100


def test_another_number_that_is_not_finite_diverges_nothing() -> None:
    reports = read({"step": 100, "fid": 8.0, "loss": math.nan})
    assert not reports.has_diverged
    assert math.isnan(reports.taken[0]["metrics"]["loss"])


def test_only_a_script_that_was_started_again_may_go_back() -> None:
    message = failure({"step": 100, "fid": 9.0}, {"step": 90})
    assert message == (
        "its reports go back from step 100 to 90. Only a script that was started again may do that"
    )
    reports = read({"step": 150, "fid": 9.0})
    reports.started()
    assert not reports.take('{"step": 60}', 8)
    assert not reports.take('{"step": 100, "fid": 3.0}', 8), "the first report of a rung counts"
    assert [report["objective"] for report in reports.taken] == [9.0]


def test_files_are_remembered_once() -> None:
    reports = read({"step": 1, "files": ["a.png"]}, {"step": 2, "files": ["b.png", "a.png"]})
    assert reports.files == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "it ended without a report"),
        (
            [{"step": 400, "fd": 3.0, "loss": 1.0}],
            "it passed over the rung at step 100: no report from there to 400 had `fid`. "
            "Report at 100, 200, 400, or soon after each",
        ),
        ([{"step": 150, "fd": 3.0, "loss": 1.0}], "none of its reports has `fid`; they have fd, loss"),
        ([{"step": 150}], "none of its reports has `fid`; they have nothing else"),
        (
            [{"step": 100, "fid": 3.0}, {"step": 180}],
            "it ended at step 180 without a report at the rung step 200 of 400",
        ),
        (["{'step': 3}"], "report 1 is no JSON object: {'step': 3}"),
        (["[1, 2]"], "report 1 is no JSON object: [1, 2]"),
        (["[" * 100_000], "report 1 is no JSON object: " + "[" * 80),
        ([{"epoch": 3, "fid": 1}], 'report 1 must have a number `step` >= 0, but is {"epoch": 3, "fid": 1}'),
        ([{"step": "3"}], 'report 1 must have a number `step` >= 0, but is {"step": "3"}'),
        ([{"step": math.nan}], 'report 1 must have a number `step` >= 0, but is {"step": NaN}'),
        ([{"step": 100, "fid": "3"}], "`fid` must be a number, but report 1 has '3'"),
        (
            [{"step": 100, "fid": -0.5}],
            "`fid` must be >= 0, since schedules are compared by ratios, but report 1 has -0.5. "
            "Report another measure, lower is better",
        ),
        ([{"step": 1, "files": "a.png"}], "`files` of report 1 must be a list of names of files"),
    ],
)
def test_what_is_wrong_is_one_line(lines: list[object], message: str) -> None:
    assert failure(*lines) == message
