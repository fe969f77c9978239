"""Which trials are in which worker where each holds several. No Ray is started."""

import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from search.algorithms.random import Random
from search.engine.shared import Shared
from search.engine.tune_stacks import Answer, Stacks, StackScheduler, StackSearcher
from search.engine.worker_start import WorkerStart
from search.errors import OperationFailed
from search.policy.conductor import Conductor
from search.policy.plan import Plan
from search.record import State
from search.simulator.trials_in_memory import TrialsInMemory
from search.stopping.asha import ASHA
from spaces import SearchSpace
from trainable.task import NO_STORAGE, Progress, TrialTask
from trainable.trial import as_result

PLAN = Plan(
    space=SearchSpace.from_mapping({"noise": {"lognormal": None}, "curriculum": {"exponential": None}}),
    baselines={},
    algorithm=Random(),
    stopping=ASHA(rungs=(0.5,)),
    total_steps=100,
    max_trials=9,
    max_concurrent=6,
)


class Worker:
    """What a `StackTrainable` would say, without training: at each step all its trials are at their next rung."""

    def __init__(self, size: int = 3):
        self.size = size
        self.done: dict[int, int] = {}
        self.rungs: dict[int, tuple[int, ...]] = {}
        self.returned: list[int] = []

    def take(self, answer: Answer) -> None:
        for number in answer.ended:
            del self.done[number]
        for task in answer.tasks:
            self.done[task.number], self.rungs[task.number] = 0, task.rungs
        assert len(self.done) <= self.size

    def step(self) -> dict[str, Any]:
        news = []
        for number in self.done:
            self.done[number] += 1
            steps = self.rungs[number][: self.done[number]]
            reports = [
                {"step": step, "objective": float(number), "time_ms": 1, "metrics": {}} for step in steps
            ]
            outcome = "complete" if steps == self.rungs[number] else None
            news.append(Progress(number=number, step=steps[-1], reports=reports, outcome=outcome))
        returned, self.returned = self.returned, []
        return {"stack": [as_result(each) for each in news], "returned": returned, "size": self.size}


class Searched:
    """A search whose workers are these. Notes are what the user was told."""

    def __init__(self, plan: Plan = PLAN, workers: int = 2):
        self.conductor = Conductor(plan, TrialsInMemory(), clock=lambda: 0.0)
        self.notes: list[str] = []
        self.interrupted = threading.Event()
        self.shared = Shared(
            self.conductor,
            "trials",
            None,
            None,
            self.interrupted,
            runs_on=False,
            on_step=lambda *_: None,
            on_note=self.notes.append,
            on_turn=lambda: None,
            worker_start=WorkerStart(None),
        )
        self.stacks = Stacks(self.shared, workers)
        self.workers: dict[str, Worker] = {}

    def begin(self, name: str, size: int = 3) -> Worker:
        self.stacks.begin(name)
        self.workers[name] = Worker(size)
        return self.workers[name]

    def turn(self, name: str) -> Answer:
        worker = self.workers[name]
        answer = self.stacks.hear(name, worker.step())
        worker.take(answer)
        return answer

    def lose(self, name: str) -> None:
        del self.workers[name]
        self.stacks.lost(name)

    def to_its_end(self) -> None:
        for _ in range(100):
            for name in [*self.workers]:
                self.turn(name)
            if self.conductor.finished:
                return
        raise AssertionError("the search does not end")

    def states(self) -> list[State]:
        return [record.state for record in self.conductor.records.values()]


def test_places_are_filled_and_filled_again_until_the_search_is_over() -> None:
    search = Searched()
    search.begin("a"), search.begin("b")
    assert [task.number for task in search.turn("a").tasks] == [0, 1, 2]
    assert [task.number for task in search.turn("b").tasks] == [3, 4, 5]
    answer = search.turn("a")  # at the first rung, where 1 and 2 are worse than what was there before
    assert answer.ended == [1, 2] and [task.number for task in answer.tasks] == [6, 7]
    search.to_its_end()
    assert search.states().count(State.RUNNING) == 0 and len(search.states()) == 9
    assert search.conductor.records[0].state is State.COMPLETE


def test_the_trials_of_a_lost_worker_go_on_elsewhere() -> None:
    search = Searched()
    search.begin("a"), search.begin("b")
    search.turn("a"), search.turn("b")
    search.lose("a")
    assert search.stacks.has_room
    search.begin("c")
    assert [task.number for task in search.turn("c").tasks] == [0, 1, 2]
    search.to_its_end()
    assert search.states().count(State.FAILED) == 0 and len(search.states()) == 9


def test_after_two_losses_a_trial_runs_alone_and_takes_no_other_with_it() -> None:
    search = Searched(replace(PLAN, max_trials=5))
    search.begin("b")  # that lives on
    for name in "acd":
        search.begin(name)
    search.turn("a")
    for name in "acd":
        if name != "a":
            search.turn(name)
        if 0 in search.workers[name].done:
            search.lose(name)  # by the fault of trial 0
    number = 0
    while not search.conductor.finished:
        assert number < 60
        for name in [*search.workers]:
            search.turn(name)
            if 0 in search.workers[name].done:
                assert [*search.workers[name].done] == [0]
                search.lose(name)
                search.begin(f"new-{number}")
        number += 1
    states = {number: record.state for number, record in search.conductor.records.items()}
    assert states.pop(0) is State.FAILED
    assert State.FAILED not in states.values() and len(states) == 4


def test_what_has_no_room_goes_on_elsewhere_and_is_told_once() -> None:
    search = Searched()
    small, _ = search.begin("a"), search.begin("b")
    search.turn("a")
    small.size, small.returned = 1, [1, 2]
    del small.done[1], small.done[2]
    result = small.step()
    answer = search.stacks.hear("a", result)
    assert answer == Answer([], [1, 2])
    assert search.notes == ["the GPU's memory is enough for 1 trial at once, not for more"]
    assert [task.number for task in search.turn("b").tasks] == [1, 2, 3]
    search.to_its_end()
    assert search.states().count(State.FAILED) == 0 and len(search.states()) == 9


def test_the_last_trials_spread_over_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    search = Searched(replace(PLAN, max_trials=8, max_concurrent=16))
    search.begin("a", size=8), search.begin("b", size=8)
    with monkeypatch.context() as nothing:
        nothing.setattr(search.conductor, "next", lambda: None)
        assert search.turn("b") == Answer([], [])
    assert len(search.turn("a").tasks) == 3 and len(search.turn("b").tasks) == 5


def scheduler(search: Searched) -> tuple[StackScheduler, list[tuple[str, Answer]]]:
    sent: list[tuple[str, Answer]] = []
    made = StackScheduler(
        search.shared, search.stacks, send=lambda trial, answer: sent.append((trial.trial_id, answer))
    )
    return made, sent


def test_answers_go_to_the_worker_before_it_is_asked_again() -> None:
    search = Searched()
    worker = search.begin("a")
    tune, sent = scheduler(search)
    trial = SimpleNamespace(trial_id="a")
    assert tune.on_trial_result(None, trial, worker.step()) == TrialScheduler.CONTINUE
    [(name, answer)] = sent
    assert name == "a" and all(isinstance(task, TrialTask) for task in answer.tasks)
    search.interrupted.set()
    assert tune.on_trial_result(None, trial, worker.step()) == TrialScheduler.STOP


def test_a_storage_that_keeps_nothing_ends_the_search_with_its_reason() -> None:
    search = Searched()
    worker = search.begin("a")
    search.turn("a")
    tune, _ = scheduler(search)
    result = worker.step()
    result["stack"][0] |= {"outcome": NO_STORAGE, "reason": "on node: no space left on device."}
    assert tune.on_trial_result(None, SimpleNamespace(trial_id="a"), result) == TrialScheduler.STOP
    assert isinstance(search.shared.error, OperationFailed)
    assert "trial 0 cannot keep its checkpoints, on node: no space left" in str(search.shared.error)


def test_tune_is_asked_for_as_many_workers_as_there_are_to_be_and_for_those_that_were_lost() -> None:
    search = Searched()
    tune = StackSearcher(search.shared, search.stacks)
    assert [tune.suggest(name) for name in "abc"] == [{"worker": "a"}, {"worker": "b"}, None]
    tune.on_trial_complete("b", error=True)
    assert tune.suggest("d") == {"worker": "d"}
    search.interrupted.set()
    assert tune.suggest("e") == Searcher.FINISHED


def test_what_is_wrong_when_a_worker_is_lost_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    search = Searched()
    search.begin("a")
    search.turn("a")
    problem = OperationFailed("the study's database is away")

    def away(number: int) -> None:
        raise problem

    monkeypatch.setattr(search.conductor, "lost", away)
    StackSearcher(search.shared, search.stacks).on_trial_complete("a", error=True)
    assert search.shared.error is problem


def test_workers_that_are_all_lost_before_they_answer_end_the_search() -> None:
    search = Searched()
    tune = StackSearcher(search.shared, search.stacks)

    def lose(times: int) -> list[object]:
        answers = []
        for nth in range(times):
            answers.append(tune.suggest(f"{nth}"))
            tune.on_trial_complete(f"{nth}", error=True)
        return answers

    most = 12 + PLAN.max_concurrent
    assert Searcher.FINISHED not in lose(most) and search.shared.error is None
    search.shared.heard()
    assert Searcher.FINISHED not in lose(most) and search.shared.error is None
    assert lose(2)[1] == Searcher.FINISHED
    assert isinstance(search.shared.error, OperationFailed)
    assert f"{most + 1} workers in a row were lost before one of them" in str(search.shared.error)
