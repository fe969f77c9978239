"""What is written at once is what Optuna writes piece by piece."""

import itertools
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.errors import InputError, OperationFailed
from search.study import store as study
from search.study.database import open_storage
from search.study.rows import finish_trial, insert_report, insert_study, insert_trial
from search.study.store import StudyStore
from search.study.waiting import Seen

DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "noise": CategoricalDistribution(["lognormal", "cosine"]),
    "lognormal.p_std": FloatDistribution(0.1, 10, log=True),
    "constant.levels": IntDistribution(2, 640, log=True),
}
PARAMS = {"noise": "cosine", "lognormal.p_std": 1.5, "constant.levels": 40}
ATTRIBUTES = {"stage": "search", "seed": 0, "schedule": {"grid": {"rho": 7.0}, "noise": None}}


def storage_with_study(folder: Path) -> tuple[RDBStorage, int]:
    storage = open_storage(f"sqlite:///{folder / 'study.db'}")
    return storage, storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "toy")


def running(
    params: dict[str, object] | None = None,
    distributions: dict[str, BaseDistribution] | None = None,
    **attributes: object,
) -> FrozenTrial:
    return create_trial(
        state=TrialState.RUNNING, params=params, distributions=distributions, user_attrs=attributes
    )


def facts(trial: FrozenTrial) -> dict[str, object]:
    ours = vars(trial).copy()
    for name in ("_trial_id", "_number", "_datetime_start", "datetime_complete"):
        ours.pop(name)
    return ours


def test_a_study_reads_back_as_if_optuna_had_written_it(tmp_path: Path) -> None:
    storage, optunas = storage_with_study(tmp_path)
    header = {"search": {"name": "mine"}, "study_id": "ab", "accuracy": None}
    for key, value in header.items():
        storage.set_study_user_attr(optunas, key, value)
    insert_study(storage, "mine", header)
    mine = storage.get_study_id_from_name("mine")
    assert storage.get_study_directions(mine) == storage.get_study_directions(optunas)
    assert storage.get_study_user_attrs(mine) == storage.get_study_user_attrs(optunas) == header
    assert storage.get_study_system_attrs(mine) == {}
    store = StudyStore.open(f"sqlite:///{tmp_path / 'study.db'}", "mine")
    assert store is not None and store.header == header
    with pytest.raises(InputError, match="a search named 'mine' exists already"):
        StudyStore.create(f"sqlite:///{tmp_path / 'study.db'}", "mine", header)


def dies_while_it_makes_the_study(url: str, statement: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a driver that is killed at its n-th statement is killed before the study is made."""

    def dying(url: str) -> RDBStorage:
        storage, statements = open_storage(url), itertools.count(1)

        @sqlalchemy.event.listens_for(storage.engine, "before_cursor_execute")
        def _(*_: object) -> None:
            if next(statements) == statement:
                raise KeyboardInterrupt

        return storage

    with monkeypatch.context() as patched:
        patched.setattr(study, "open_storage", dying)
        try:
            StudyStore.create(url, "toy", {"study_id": "ab", "versions": {}, "search": {}})
        except KeyboardInterrupt:
            return True
    return False


def test_a_driver_that_is_killed_while_it_makes_the_study_leaves_all_of_it_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    open_storage(url)
    for statement in itertools.count(1):
        assert dies_while_it_makes_the_study(url, statement, monkeypatch)
        store = StudyStore.open(url, "toy")
        if store is not None:
            assert store.header == {"study_id": "ab", "versions": {}, "search": {}}
            break
    assert statement > 3


def test_a_trial_reads_back_as_if_optuna_had_written_it(tmp_path: Path) -> None:
    storage, study_id = storage_with_study(tmp_path)
    trial = running(PARAMS, DISTRIBUTIONS, trial=ATTRIBUTES)
    optunas = storage.create_new_trial(study_id, trial)
    mine = insert_trial(storage, study_id, trial, Seen(optunas, 0)).trial_id
    bare = insert_trial(storage, study_id, running(), Seen(mine, 1)).trial_id
    storage.set_trial_intermediate_value(optunas, 50, 1.5)
    insert_report(storage, mine, 50, 1.5)
    assert facts(storage.get_trial(mine)) == facts(storage.get_trial(optunas))
    assert storage.get_trial(bare).params == {}
    assert [trial.number for trial in storage.get_all_trials(study_id)] == [0, 1, 2]
    # And Optuna goes on from there.
    next_one = storage.create_new_trial(study_id, trial)
    assert storage.get_trial(next_one).number == 3


def test_the_first_value_of_a_step_wins(tmp_path: Path) -> None:
    storage, study_id = storage_with_study(tmp_path)
    trial_id = insert_trial(storage, study_id, running(), Seen(-1, -1)).trial_id
    insert_report(storage, trial_id, 50, 1.5)
    insert_report(storage, trial_id, 50, 2.5)
    insert_report(storage, trial_id, 100, 0.5)
    assert storage.get_trial(trial_id).intermediate_values == {50: 1.5, 100: 0.5}


@pytest.mark.parametrize(("state", "value"), [(TrialState.COMPLETE, 1.5), (TrialState.FAIL, None)])
def test_a_trial_ends_as_if_optuna_had_ended_it(
    tmp_path: Path, state: TrialState, value: float | None
) -> None:
    storage, study_id = storage_with_study(tmp_path)
    trial = running(PARAMS, DISTRIBUTIONS, trial=ATTRIBUTES)
    optunas, mine, other = (storage.create_new_trial(study_id, trial) for _ in range(3))
    storage.set_trial_user_attr(mine, "outcome", "of a driver that was killed before it could end the trial")
    storage.set_trial_user_attr(optunas, "outcome", {"reports": [1, 2]})
    storage.set_trial_state_values(optunas, state, None if value is None else [value])
    for _ in range(2):  # the second time does nothing
        finish_trial(storage, mine, state, value, {"outcome": {"reports": [1, 2]}})
    assert facts(storage.get_trial(mine)) == facts(storage.get_trial(optunas))
    ended = storage.get_trial(mine).datetime_complete
    assert ended is not None and storage.get_trial(mine).datetime_start <= ended  # type: ignore[operator]
    assert storage.get_trial(other).state == TrialState.RUNNING
    with pytest.raises(OperationFailed, match="written by another program"):
        finish_trial(storage, mine, TrialState.PRUNED, 9.0, {})
