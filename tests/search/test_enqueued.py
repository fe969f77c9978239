"""Trials that somebody puts into the study's queue (Optuna's `enqueue_trial`) are trained, or refused in one line."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from search.algorithms.density_gp import DensityGP
from search.errors import OperationFailed
from search.policy.conductor import Conductor
from search.policy.next_trial import Refused
from search.policy.plan import Plan
from search.record import Purpose, TrialRecord
from search.running.search import Search
from search.study.database import open_storage
from search.study.store import StudyStore
from spaces import SearchSpace
from tests.search.test_conductor import PLAN, drive, url_in
from tests.search.test_search import ASSETS, TEXT

SHORT = replace(PLAN, race=None, max_trials=4)
FULL = {"noise": "lognormal", "lognormal.p_mean": -1.5, "lognormal.p_std": 1.0}


def study(folder: Path) -> optuna.Study:
    return optuna.load_study(study_name="toy", storage=open_storage(url_in(folder)))


def searching(folder: Path, plan: Plan = PLAN) -> Conductor:
    url, sums = url_in(folder), folder / "sums"
    store = StudyStore.open(url, "toy", sums) or StudyStore.create(url, "toy", {"search": {}}, sums=sums)
    return Conductor(plan, store)


def enqueued(conductor: Conductor) -> list[TrialRecord]:
    return [r for r in conductor.records.values() if r.decisions[0].cause == "enqueued"]


def test_it_began_when_its_neighbours_did_in_every_time_zone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "XXX5")
        time.tzset()
        searching(tmp_path, SHORT)
        study(tmp_path).enqueue_trial(FULL)
        drive(searching(tmp_path, SHORT))
        read = searching(tmp_path, SHORT)
        starts = [record.start_ms for record in read.records.values()]
    time.tzset()
    assert len(enqueued(read)) == 1 and None not in starts
    assert max(starts) - min(starts) < 3_600_000


@pytest.mark.parametrize("plan", [PLAN, replace(PLAN, algorithm=DensityGP(num_startup_trials=2))])
def test_it_is_trained_in_the_place_of_a_proposal(tmp_path: Path, plan: Plan) -> None:
    searching(tmp_path, plan)
    study(tmp_path).enqueue_trial(FULL, user_attrs={"mine": 1})
    study(tmp_path).enqueue_trial({"lognormal.p_std": 0.7})
    conductor = searching(tmp_path, plan)
    drive(conductor)
    first, second = enqueued(conductor)
    assert (first.number, second.number) == (0, 1)
    assert FULL.items() <= first.params.items() and "exponential.s0" in first.params
    assert second.params["noise"] == "lognormal" and second.params["lognormal.p_std"] == 0.7
    assert conductor.plan.space.suggest(optuna.trial.FixedTrial(dict(first.params))) == first.schedule
    assert first.purpose is Purpose.SEARCH and first.reports
    records = conductor.records.values()
    assert sum(record.replicate_of is None for record in records) == plan.max_trials  # it counts
    kept = study(tmp_path).trials
    assert kept[0].user_attrs["mine"] == 1 and kept[0].value == first.objective
    assert sorted(record.number for record in records) == [trial.number for trial in kept]
    again = searching(tmp_path, plan)
    assert again.finished and {r.number: r.schedule for r in again.records.values()} == {
        record.number: record.schedule for record in records
    }


def test_it_is_taken_while_the_search_runs_and_numbers_stay_apart(tmp_path: Path) -> None:
    conductor = searching(tmp_path)
    order: list[tuple[int, int]] = []
    seen = conductor.on_change

    def put_in(record: TrialRecord) -> None:
        seen(record)
        if record.number in (3, 5) and not record.reports:
            study(tmp_path).enqueue_trial({"noise": "polynomial"})
            study(tmp_path).enqueue_trial({"lognormal.p_mean": -0.5 - record.number / 10})

    conductor.on_change = put_in
    drive(conductor, order=order)
    numbers = [record.number for record in enqueued(conductor)]
    assert numbers == [4, 5, 6, 7, 8, 9][: len(numbers)] and len(numbers) >= 4
    kept = study(tmp_path).trials
    assert [trial.number for trial in kept] == list(range(len(conductor.records)))
    assert all(trial.state.is_finished() for trial in kept)
    assert searching(tmp_path).finished


def test_one_that_comes_just_before_a_trial_is_written_takes_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conductor = searching(tmp_path)
    store = conductor.trials
    decided = store.enqueued

    def too_early() -> Any:
        found = decided()
        if len(conductor.records) == 4:
            study(tmp_path).enqueue_trial(FULL)
        return found

    monkeypatch.setattr(store, "enqueued", too_early)
    drive(conductor)
    assert [record.number for record in enqueued(conductor)][:1] == [4]
    assert sorted(conductor.records) == [trial.number for trial in study(tmp_path).trials]
    assert {r.number: r.params for r in searching(tmp_path).records.values()} == {
        number: record.params for number, record in conductor.records.items()
    }


UNFIT: list[tuple[Mapping[str, Any], str]] = [
    (
        {"noise": "cosine"},
        r"`noise` must be of \{'choices': \['lognormal', 'polynomial'\]\}, but is 'cosine'",
    ),
    ({"lr": 0.1}, "the search space has no parameter 'lr', but for example"),
    ({"lognormal.p_mean": 99}, "`lognormal.p_mean` must be of .*, but is 99"),
    ({"lognormal.p_mean": float("nan")}, "`lognormal.p_mean` must be of .*, but is nan"),
    ({"lognormal.p_mean": "x"}, "but is 'x'"),
    ({"lognormal.p_mean": True}, "but is True"),
    (
        {"noise": "polynomial", "lognormal.p_mean": -1.0},
        "'lognormal' would have no effect with `noise` 'poly",
    ),
]


@pytest.mark.parametrize(("params", "reason"), UNFIT)
def test_one_that_does_not_fit_is_refused_once_and_the_search_goes_on(
    tmp_path: Path, params: Mapping[str, Any], reason: str
) -> None:
    searching(tmp_path, SHORT)
    study(tmp_path).enqueue_trial(dict(params))
    conductor = searching(tmp_path, SHORT)
    refused: list[Refused] = []
    conductor.on_refused = refused.append
    drive(conductor)
    (told,) = refused
    assert told.number == 0 and "\n" not in told.reason
    with pytest.raises(ValueError, match=reason):
        raise ValueError(told.reason)
    assert 0 not in conductor.records and len(conductor.records) == len(study(tmp_path).trials) - 1
    assert study(tmp_path).trials[0].state is TrialState.FAIL
    again = searching(tmp_path, SHORT)
    again.on_refused = refused.append
    assert again.finished and again.next() is None and len(refused) == 1


def test_beyond_the_budget_it_waits_is_told_and_trained_when_that_is_extended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("toy.yaml").write_text(TEXT)
    toy = Search.open("toy.yaml")
    toy.folder.mkdir(parents=True)
    toy.open_or_create(ASSETS)
    toy.write_file()
    drive(Conductor(toy.plan(), toy.store))
    mine = optuna.load_study(study_name="toy", storage=open_storage(toy.spec.study_url_resolved))
    mine.enqueue_trial({"noise": "lognormal"})
    number = mine.trials[-1].number
    again = Search.open("toy.yaml")
    assert again.result().finished
    assert "1 trial waits in the study's queue, beyond the budget" in "\n".join(again.result().table())
    more = again.amended({"budget.max_trials": 4})
    conductor = Conductor(more.plan(), more.store)
    drive(conductor)
    assert [record.number for record in enqueued(conductor)] == [number]
    assert "queue" not in "\n".join(more.result().table())


def test_any_other_trial_of_another_program_is_one_line(tmp_path: Path) -> None:
    conductor = searching(tmp_path)
    study(tmp_path).add_trial(create_trial(value=1.0))
    with pytest.raises(
        OperationFailed, match=r"trial 0 \(COMPLETE\) is another program's, or .*enqueue_trial"
    ):
        searching(tmp_path)
    with pytest.raises(OperationFailed, match=r"trial 0 \(COMPLETE\) is another program's"):
        drive(conductor)


def test_the_family_of_an_option_need_not_be_named() -> None:
    space = SearchSpace.from_mapping()
    assert space.completed({}) == {}
    assert space.completed({"lognormal.p_mean": -1}) == {"lognormal.p_mean": -1, "noise": "lognormal"}
    with pytest.raises(ValueError, match="no effect with `noise`"):
        space.completed({"lognormal.p_mean": -1.0, "noise": "cosine"})
