"""A trial that runs out of GPU memory: once more in smaller parts, then failed, and never a bad score."""

from dataclasses import replace
from pathlib import Path

from optuna.trial import TrialState

from search.algorithms.random import Random
from search.policy.conductor import Conductor
from search.policy.plan import Plan
from search.record import Purpose, Report, State, TrialRecord
from search.stopping.asha import ASHA
from search.study.store import StudyStore
from search.tracking import Projection
from spaces import PRESETS, SearchSpace

PLAN = Plan(
    space=SearchSpace.from_mapping({"noise": {"lognormal": None}, "curriculum": {"exponential": None}}),
    baselines={"ict": PRESETS["ict"].schedule},
    algorithm=Random(),
    stopping=ASHA(),
    total_steps=100,
    max_trials=4,
    max_concurrent=2,
)
REASON = "oom at step 60 with 128 images at once: CUDA out of memory"


def conductor_in(folder: Path) -> Conductor:
    url = f"sqlite:///{folder / 'study.db'}"
    store = StudyStore.open(url, "toy") or StudyStore.create(url, "toy", {"search": {}})
    return Conductor(PLAN, store)


def started(conductor: Conductor) -> TrialRecord:
    record = conductor.next()
    assert record is not None
    return record


def reports(*steps: int) -> list[Report]:
    return [Report(step, 1000.0 / step, 1000 * step, {"fd": 1000.0 / step}) for step in steps]


def proposal(conductor: Conductor) -> TrialRecord:
    """A trial that the algorithm proposed, at its first rung."""
    baseline = started(conductor)
    conductor.observe(baseline.number, 100, reports(50, 75, 100), "complete")
    record = started(conductor)
    assert record.purpose is Purpose.SEARCH
    assert not conductor.observe(record.number, 50, reports(50), None)
    return record


def run_out(conductor: Conductor, record: TrialRecord, smaller: int | None) -> bool:
    return conductor.observe(record.number, 60, [], "oom", REASON, smaller)


def test_the_first_time_it_is_the_next_to_be_run_with_half_as_many_images(tmp_path: Path) -> None:
    conductor = conductor_in(tmp_path)
    record = proposal(conductor)
    assert run_out(conductor, record, 64)  # ends on that worker
    again = started(conductor)
    assert (again.number, again.state, again.micro_batch) == (record.number, State.RUNNING, 64)
    assert again.reports == conductor.records[record.number].reports
    assert again.reports[-1].step == 50
    # The worker says again what was known, then goes on to the end.
    assert not conductor.observe(record.number, 50, reports(50), None)
    assert conductor.observe(record.number, 100, reports(50, 75, 100), "complete")
    told = conductor.proposals.told[record.number]
    assert (told.state, told.value) == (TrialState.COMPLETE, 10.0)
    assert conductor.records[record.number].state is State.COMPLETE


def test_the_second_time_it_has_failed_and_is_no_observation(tmp_path: Path) -> None:
    conductor = conductor_in(tmp_path)
    record = proposal(conductor)
    run_out(conductor, record, 64)
    started(conductor)
    assert run_out(conductor, record, 32)
    failed = conductor.records[record.number]
    assert (failed.state, failed.reason) == (State.FAILED, REASON)
    assert failed.micro_batch == 64
    told = conductor.proposals.told[record.number]
    assert (told.state, told.value) == (TrialState.FAIL, None)
    rung = conductor.agenda.ledger.rung
    assert set(rung(75).values) == set(rung(100).values) == {0}  # nothing made up for ASHA either
    store = StudyStore.open(f"sqlite:///{tmp_path / 'study.db'}", "toy")
    assert store is not None
    assert store.load()[record.number].state is TrialState.FAIL


def test_where_nothing_is_smaller_it_fails_at_once(tmp_path: Path) -> None:
    conductor = conductor_in(tmp_path)
    record = proposal(conductor)
    assert run_out(conductor, record, None)
    assert conductor.records[record.number].state is State.FAILED


def test_a_driver_that_is_killed_leaves_the_decision_in_the_study(tmp_path: Path) -> None:
    first = conductor_in(tmp_path)
    record = proposal(first)
    run_out(first, record, 64)
    store = StudyStore.open(f"sqlite:///{tmp_path / 'study.db'}", "toy")
    assert store is not None
    assert store.load()[record.number].user_attrs["retry"]["micro_batch"] == 64
    second = conductor_in(tmp_path)
    again = started(second)
    assert (again.number, again.micro_batch) == (record.number, 64)
    assert run_out(second, again, 32)
    assert second.records[record.number].state is State.FAILED


def test_others_are_not_kept_from_running(tmp_path: Path) -> None:
    conductor = conductor_in(tmp_path)
    record = proposal(conductor)
    other = started(conductor)
    assert conductor.next() is None  # both slots are taken
    run_out(conductor, record, 64)
    assert started(conductor).number == record.number
    assert conductor.next() is None
    conductor.observe(other.number, 100, reports(50, 75, 100), "complete")
    conductor.observe(record.number, 100, reports(50, 75, 100), "complete")
    last = started(conductor)
    conductor.observe(last.number, 100, reports(50, 75, 100), "complete")
    assert conductor.finished


def test_mlflow_shows_the_micro_batch(tmp_path: Path) -> None:
    conductor = conductor_in(tmp_path)
    record = proposal(conductor)
    run_out(conductor, record, 64)
    projection = Projection(
        f"sqlite:///{tmp_path / 'mlflow.db'}",
        search_name="toy",
        objective="fd",
        total_steps=100,
        folder=tmp_path,
    )
    projection.sync(conductor.records[record.number])
    projection.sync(replace(conductor.records[0], reports=()))
    assert projection.runs.trials[record.number].tags["search.micro_batch"] == "64"
    assert "search.micro_batch" not in projection.runs.trials[0].tags
