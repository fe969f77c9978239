"""What the policy needs of the trials is kept in the same way in a database and in memory."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from search.algorithms.random import Random
from search.decision import CAUSES, Decision
from search.policy.conductor import Conductor
from search.policy.plan import Plan
from search.policy.trials import Trials
from search.record import Purpose, Report, State, TrialRecord
from search.simulator.trials_in_memory import TrialsInMemory
from search.stopping.asha import ASHA
from search.study.store import StudyStore
from spaces import PRESETS, SearchSpace

PLAN = Plan(
    space=SearchSpace.from_mapping({"noise": {"lognormal": None}, "curriculum": {"exponential": None}}),
    baselines={"ict": PRESETS["ict"].schedule},
    algorithm=Random(),
    stopping=ASHA(rungs=(0.5,)),
    total_steps=100,
    max_trials=9,
    audit_share=0.4,
    noise_seeds=1,
)


def in_database(folder: Path) -> Trials:
    return StudyStore.create(f"sqlite:///{folder / 'study.db'}", "toy", {"search": {}})


def in_memory(folder: Path) -> Trials:
    return TrialsInMemory()


def searched(trials: Trials) -> Conductor:
    """A search in which some trials are stopped, one diverges, one fails, one is tried again and one is left open."""
    conductor = Conductor(PLAN, trials, clock=lambda: 5.0)
    while (record := conductor.next()) is not None:
        number = record.number
        value = 10.0 + (7 * number) % 9
        if number == 3:
            conductor.observe(number, 20, [Report(50, 1e9, 0)], "diverged")
        elif number == 4:
            conductor.observe(number, 0, [], "failed", "RuntimeError: boom")
        elif number == 5 and record.micro_batch is None:
            conductor.observe(number, 10, [], "oom", "oom at step 10", 64)
        elif number == 8:
            conductor.observe(number, 50, [Report(50, 1.0, 0)], None)
            return conductor
        elif not conductor.observe(number, 50, [Report(50, value, 0)], None):
            reports = [Report(50, value, 0), Report(100, value - 1, 0, {"fd": value - 1})]
            conductor.observe(number, 100, reports, "complete")
    raise AssertionError("the last trial should be open")


def timeless(record: TrialRecord) -> TrialRecord:
    """Without the times, which a database takes from its own clock."""
    reports = tuple(replace(report, time_ms=0) for report in record.reports)
    return replace(record, start_ms=None, end_ms=None, reports=reports)


def known(trials: Trials) -> list[TrialRecord]:
    """What is read back."""
    return [timeless(kept.record) for kept in trials.read()]


@pytest.mark.parametrize("made", [in_database, in_memory])
def test_what_was_written_is_read_back(tmp_path: Path, made: Callable[[Path], Trials]) -> None:
    trials = made(tmp_path)
    conductor = searched(trials)
    assert known(trials) == list(map(timeless, conductor.records.values()))
    states = {record.state for record in known(trials)}
    assert states == {State.COMPLETE, State.STOPPED, State.DIVERGED, State.FAILED, State.RUNNING}
    assert any(record.condemned_at for record in known(trials))
    assert [kept.spent is None for kept in trials.read()] == [
        record.state is State.RUNNING for record in known(trials)
    ]
    again = Conductor(PLAN, trials, clock=lambda: 5.0)
    assert (
        again.spending.steps == conductor.spending.steps - 50
    )  # those of the open trial are not paid for yet


def test_both_keep_the_same(tmp_path: Path) -> None:
    one, other = in_database(tmp_path), in_memory(tmp_path)
    searched(one), searched(other)
    assert known(one) == known(other)
    assert [kept.distributions for kept in one.read()] == [kept.distributions for kept in other.read()]


def test_each_decision_has_its_reason() -> None:
    conductor = searched(TrialsInMemory())
    said = {number: [str(d) for d in record.decisions] for number, record in conductor.records.items()}
    assert said[0] == ["started: a baseline of the literature, ict"]
    assert said[1] == ["started: trial 0 on another seed, to measure the noise between seeds"]
    assert said[5][:2] == [
        "started: proposed by random",
        "tried again: its GPU memory was not enough, once more with 64 images at once",
    ]
    stopped = next(r for r in conductor.records.values() if r.state is State.STOPPED)
    rung = conductor.agenda.ledger.rung(50).values
    assert stopped.decisions[-1].action == "stopped" and stopped.decisions[-1].cause == "rung"
    assert stopped.decisions[-1].facts["step"] == 50
    assert 1 < int(stopped.decisions[-1].facts["rank"]) <= int(stopped.decisions[-1].facts["of"]) <= len(rung)
    audited = next(r for r in conductor.records.values() if r.condemned_at is not None)
    assert audited.decisions[1].cause == "audit"
    assert audited.purpose is Purpose.SEARCH


def test_a_decision_is_a_sentence() -> None:
    facts = {"rank": 4, "of": 9, "step": 1000}
    assert str(Decision("stopped", "rung", facts)) == "stopped: 4th of 9 at rung 1000"
    assert Decision("stopped", "rung", {**facts, "rank": 22}).why == "22nd of 9 at rung 1000"
    assert Decision("stopped", "rung", {**facts, "rank": 11}).why == "11th of 9 at rung 1000"
    assert Decision(**Decision("stopped", "rung", facts).to_dict()) == Decision("stopped", "rung", facts)
    assert all(sentence and not sentence.endswith(".") for sentence in CAUSES.values())


def test_a_change_of_the_time_zone_reorders_nothing(tmp_path: Path, in_zone: Callable[[str], None]) -> None:
    url, before = f"sqlite:///{tmp_path / 'study.db'}", int(time.time() * 1000)
    in_zone("Asia/Tokyo")
    conductor = Conductor(PLAN, StudyStore.create(url, "toy", {"search": {}}), clock=lambda: 5.0)
    conductor.next()
    in_zone("America/Los_Angeles")
    store = StudyStore.open(url, "toy")
    assert store is not None
    Conductor(PLAN, store, clock=lambda: 5.0).observe(0, 20, [Report(50, 1e9, 0)], "diverged")
    in_zone("Europe/Berlin")
    [record, *_] = store.records()
    assert record.start_ms is not None and record.end_ms is not None
    assert before <= record.start_ms <= record.end_ms <= time.time() * 1000  # since 1970, UTC


@pytest.fixture
def in_zone() -> Iterator[Callable[[str], None]]:
    """Moves this process to a time zone."""
    with pytest.MonkeyPatch.context() as patched:

        def move(zone: str) -> None:
            patched.setenv("TZ", zone)
            time.tzset()

        yield move
    time.tzset()
