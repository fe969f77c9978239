"""A study that is looked at is read without Optuna's storage, and is the same as with it."""

import datetime
import math
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.errors import OperationFailed
from search.machine.sqlite_url import sqlite_url
from search.record import State
from search.study import sqlite_tables
from search.study.reading import StudyReader
from search.study.store import StudyStore
from search.study.whole import DamagedStudy
from tests.records import record

HEADER = {
    **{
        "study_id": "ab",
        "search": {},
        "identity": {},
        "objective": "fid",
        "versions": {},
        "git_commit": None,
    },
    **{"data_sha256": "d", "extractor_sha256": "e"},
}
PARAMS: dict[str, tuple[Any, Any]] = {
    "p_mean": (-1.1, FloatDistribution(-3.0, 1.0)),
    "rho": (7.3, FloatDistribution(1.0, 20.0, log=True)),
    "s0": (10, IntDistribution(2, 40, log=True)),
    "family": ("beta", CategoricalDistribution(("beta", "lognormal", None, True))),
}


def of_every_kind() -> list[FrozenTrial]:
    """Trials as other programs and versions may have written them."""
    params = {name: value for name, (value, _) in PARAMS.items()}
    known = {"params": params, "distributions": {name: of for name, (_, of) in PARAMS.items()}}
    curve = {500: 30.0, 1000: math.inf, 1500: -math.inf, 1700: math.nan}
    attributes = {"trial": {"é": [1, None, "<b>"]}}
    return [
        create_trial(value=3.5, intermediate_values=curve, user_attrs=attributes, **known),
        create_trial(value=math.inf, system_attrs={"fixed_params": {"s0": 3}}),
        create_trial(state=TrialState.PRUNED, intermediate_values={1: 2.0}, **known),
        create_trial(state=TrialState.FAIL),
        create_trial(state=TrialState.RUNNING, **known),
        create_trial(state=TrialState.WAITING, system_attrs={"fixed_params": {"s0": 3}}),
    ]


def test_every_trial_is_read_as_optuna_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "a%20b?#.db"
    study = optuna.create_study(study_name="toy", storage=sqlite_url(file), direction="minimize")
    optuna.create_study(study_name="other", storage=sqlite_url(file)).add_trials(of_every_kind())
    study.add_trials(of_every_kind())
    study.set_user_attr("search", {"name": ["toy", 1.5]})
    with sqlite_tables.opened(file) as connection:
        study_id, attributes = sqlite_tables.study_in(connection, "toy")
        found = sqlite_tables.trials_in(connection, study_id)
    expected = study.get_trials()
    assert attributes == study.user_attrs
    assert [trial.intermediate_values.pop(1700, None) is not None for trial in found] == [True, *[False] * 5]
    expected[0].intermediate_values.pop(1700)  # NaN is not equal to itself
    assert found == expected
    assert [list(trial.params) for trial in found] == [list(trial.params) for trial in expected]
    assert isinstance(found[0].datetime_start, datetime.datetime)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A study of three trials, one of which is running."""
    found = sqlite_url(tmp_path / "study.db")
    store = StudyStore.create(found, "toy", HEADER)
    for value in (30.0, 5.0, None):
        new = record(0, *([(2000, value)] if value else []))
        number = store.add(new_trial(new.seed))
        if value:
            store.finish(record(number, (2000, value), state=State.COMPLETE), {"wall": 1.0})
    store.close()
    return found


def new_trial(seed: int) -> Any:
    from search.decision import Decision
    from search.policy.trials import NewTrial
    from search.record import Purpose
    from spaces import PRESETS

    decision = Decision("started", "proposed", {"algorithm": "random"})
    return NewTrial(purpose=Purpose.SEARCH, schedule=PRESETS["ict"].schedule, seed=seed, decision=decision)


def test_a_reader_answers_as_the_store_does(url: str) -> None:
    reader, store = StudyReader.open(url, "toy"), StudyStore.open(url, "toy")
    assert isinstance(reader, StudyReader) and store is not None
    assert reader.header == store.header == HEADER
    assert reader.load() == store.load()
    assert reader.read() == store.read()
    assert reader.records() == store.records()
    assert list(reader.enqueued()) == list(store.enqueued()) == []
    number = store.add(new_trial(7))
    assert [trial.number for trial in reader.load()] == [0, 1, 2, number]  # what is asked is read then


def test_what_waits_in_the_queue_is_seen(url: str) -> None:
    optuna.load_study(study_name="toy", storage=url).enqueue_trial({"p_mean": -1.0})
    reader, store = StudyReader.open(url, "toy"), StudyStore.open(url, "toy")
    assert reader is not None and store is not None
    store.load()
    assert list(reader.enqueued()) == list(store.enqueued())
    assert [waiting.params for waiting in reader.enqueued()] == [{"p_mean": -1.0}]


def changed(url: str, statement: str) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize(
    "statement",
    [
        "update trials set state = 'DONE'",
        "update trials set datetime_start = 'yesterday'",
        "update trial_values set value = null",
        "update trial_user_attributes set value_json = '{'",
        "update trial_user_attributes set key = 'none' where key = 'trial'",
        "delete from study_user_attributes where key = 'versions'",
    ],
)
def test_what_is_damaged_is_told_as_the_store_tells_it(url: str, statement: str) -> None:
    changed(url, statement)

    def look(open_study: Any) -> None:
        found = open_study(url, "toy")
        found.check_header()
        found.read()

    def told(open_study: Any) -> str:
        with pytest.raises(OperationFailed) as error:
            look(open_study)
        return str(error.value)

    assert told(StudyReader.open) == told(StudyStore.open)


def test_another_version_of_the_tables_is_left_to_optuna(url: str) -> None:
    changed(url, "update version_info set schema_version = 11")
    changed(url, "update alembic_version set version_num = 'v3.0.0.d'")
    with pytest.raises(LookupError), sqlite_tables.opened(Path(url.removeprefix("sqlite:///"))):
        pass


def test_a_study_that_is_damaged_after_it_was_opened_is_told_of(url: str) -> None:
    reader = StudyReader.open(url, "toy")
    assert isinstance(reader, StudyReader)
    changed(url, "update trial_user_attributes set value_json = '{'")
    with pytest.raises(DamagedStudy):
        reader.read()


def test_there_is_none(tmp_path: Path) -> None:
    assert StudyReader.open(sqlite_url(tmp_path / "study.db"), "toy") is None
    assert not (tmp_path / "study.db").exists()
