"""What a search and its trials write, as rows of Optuna's tables.

Optuna looks up the trial before each parameter, attribute and value that it writes, and for a parameter its use in
other trials too. With one writer, as our studies have, there is nothing to look up; it is a sixth of the time.
"""

import datetime
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Delete, Insert, Select, Table, Update, bindparam, select
from sqlalchemy.exc import IntegrityError

from search.errors import OperationFailed
from search.study.waiting import Row, Seen

WRITTEN_BY_ANOTHER = "the study is written by another program. End that one, then run the same command again"


def insert_study(storage: RDBStorage, name: str, attributes: Mapping[str, Any]) -> None:
    """Add a study that minimises, with its user attributes: all of it or, of a driver that is killed, nothing.

    IntegrityError if the name is taken.
    """
    with storage.engine.begin() as connection:
        added = connection.execute(_table(models.StudyModel).insert(), {"study_name": name})
        study_id = int(added.inserted_primary_key[0])  # type: ignore[index]
        direction = {"study_id": study_id, "direction": StudyDirection.MINIMIZE, "objective": 0}
        connection.execute(_table(models.StudyDirectionModel).insert(), direction)
        rows = [
            {"study_id": study_id, "key": key, "value_json": json.dumps(value)}
            for key, value in attributes.items()
        ]
        connection.execute(_table(models.StudyUserAttributeModel).insert(), rows)


def change_study(storage: RDBStorage, study_id: int, attributes: Mapping[str, Any]) -> None:
    """Add or replace user attributes of the study: all of them or, of a process that is killed, none."""
    kept = _table(models.StudyUserAttributeModel)
    rows = [
        {"study_id": study_id, "key": key, "value_json": json.dumps(value)}
        for key, value in attributes.items()
    ]
    with storage.engine.begin() as connection:
        connection.execute(kept.delete().where(kept.c.study_id == study_id, kept.c.key.in_(attributes)))
        connection.execute(kept.insert(), rows)


def insert_trial(storage: RDBStorage, study_id: int, trial: FrozenTrial, after: Seen) -> Row:
    """Add the RUNNING `trial`, which has no values yet, to the study.

    after: the last trial that is known of. Others that were put in since come first, as Optuna counts them.
    """
    assert trial.state == TrialState.RUNNING and not trial.intermediate_values and not trial.system_attrs
    trials = _table(models.TrialModel)
    row = {
        "study_id": study_id,
        "number": after.number + 1,
        "state": trial.state,
        "datetime_start": _utc(trial.datetime_start or datetime.datetime.now()),
    }
    with storage.engine.begin() as connection:
        if connection.dialect.name != "sqlite":  # where writers wait for each other anyway
            studies = _table(models.StudyModel)
            connection.execute(
                studies.select().where(studies.c.study_id == study_id).with_for_update()
            ).close()
        added = connection.execute(_insert(models.TrialModel), row)
        trial_id = int(added.inserted_primary_key[0])  # type: ignore[index]
        num_before = sum(row.trial_id < trial_id for row in _rows_after(connection, study_id, after.trial_id))
        number = after.number + 1 + num_before
        if num_before:
            connection.execute(trials.update().where(trials.c.trial_id == trial_id).values(number=number))
        _insert_content(connection, trial_id, trial)
    return Row(trial_id, number, trial.state)


def rows_after(storage: RDBStorage, study_id: int, trial_id: int) -> list[Row]:
    """The trials that came to the study after the one with this id."""
    with storage.engine.connect() as connection:
        return _rows_after(connection, study_id, trial_id)


def _rows_after(connection: Connection, study_id: int, trial_id: int) -> list[Row]:
    values = {"of_study": study_id, "after": trial_id}
    return [Row(*row) for row in connection.execute(_select_after(), values)]


def trial_ids(storage: RDBStorage, study_id: int) -> list[tuple[int, int]]:
    """(id, number) of all trials of the study, however damaged they are."""
    trials = _table(models.TrialModel)
    with storage.engine.connect() as connection:
        found = select(trials.c.trial_id, trials.c.number).where(trials.c.study_id == study_id)
        return [(row[0], row[1]) for row in connection.execute(found)]


def begin_waiting(storage: RDBStorage, trial_id: int, trial: FrozenTrial) -> None:
    """Make a WAITING trial the RUNNING `trial`; nothing if it is. What else it carries stays."""
    kept = _table(models.TrialUserAttributeModel)
    params = _table(models.TrialParamModel)
    with storage.engine.begin() as connection:
        values = {
            "state": trial.state,
            "datetime_start": _utc(trial.datetime_start or datetime.datetime.now()),
        }
        if _leaves_queue(connection, trial_id, values):
            connection.execute(
                kept.delete().where(kept.c.trial_id == trial_id, kept.c.key.in_(trial.user_attrs))
            )
            connection.execute(params.delete().where(params.c.trial_id == trial_id))
            _insert_content(connection, trial_id, trial)
            return
    found = storage.get_trial(trial_id)
    if found.state != trial.state or any(
        found.user_attrs.get(key) != value for key, value in trial.user_attrs.items()
    ):
        raise OperationFailed(WRITTEN_BY_ANOTHER)


def refuse_waiting(storage: RDBStorage, trial_id: int, attributes: Mapping[str, Any]) -> None:
    """End a WAITING trial as failed, with more user attributes; nothing if it has left the queue."""
    with storage.engine.begin() as connection:
        values = {"state": TrialState.FAIL, "datetime_complete": _utc(datetime.datetime.now())}
        if _leaves_queue(connection, trial_id, values):
            rows = [
                {"trial_id": trial_id, "key": k, "value_json": json.dumps(v)} for k, v in attributes.items()
            ]
            connection.execute(_table(models.TrialUserAttributeModel).insert(), rows)


def _leaves_queue(connection: Connection, trial_id: int, values: Mapping[str, Any]) -> bool:
    """Whether the trial was WAITING and has these values now."""
    trials = _table(models.TrialModel)
    change = trials.update().where(trials.c.trial_id == trial_id, trials.c.state == TrialState.WAITING)
    return bool(connection.execute(change.values(**values)).rowcount == 1)


def _insert_content(connection: Connection, trial_id: int, trial: FrozenTrial) -> None:
    """The parameters and user attributes of `trial`."""
    parameters = [
        {
            "param_name": name,
            "param_value": distribution.to_internal_repr(trial.params[name]),
            "distribution_json": distribution_to_json(distribution),
        }
        for name, distribution in trial.distributions.items()
    ]
    attributes = [{"key": key, "value_json": json.dumps(value)} for key, value in trial.user_attrs.items()]
    for model, rows in ((models.TrialParamModel, parameters), (models.TrialUserAttributeModel, attributes)):
        if rows:
            connection.execute(_insert(model), [{"trial_id": trial_id, **row} for row in rows])


def insert_report(storage: RDBStorage, trial_id: int, step: int, value: float) -> None:
    """Keep the finite `value` of a trial at `step`; nothing if there is one."""
    kind = models.TrialIntermediateValueModel.TrialIntermediateValueType.FINITE
    row = {"trial_id": trial_id, "step": step, "intermediate_value": value, "intermediate_value_type": kind}
    try:
        with storage.engine.begin() as connection:
            connection.execute(_insert(models.TrialIntermediateValueModel), row)
    except IntegrityError as error:
        if storage.get_trial(trial_id).intermediate_values.get(step) is None:
            raise OperationFailed(WRITTEN_BY_ANOTHER) from error


def finish_trial(
    storage: RDBStorage, trial_id: int, state: TrialState, value: float | None, attributes: Mapping[str, Any]
) -> None:
    """End a RUNNING trial with the finite `value` and more user attributes; nothing if it has ended like that.

    Attributes of these names that are there already are replaced: a driver of version 0.1.0, which wrote them before
    the end in a transaction of their own, may have been killed in between.
    """
    kind = models.TrialValueModel.TrialValueType.FINITE
    end = {"of_trial": trial_id, "as": state, "at": _utc(datetime.datetime.now())}
    with storage.engine.begin() as connection:
        if connection.execute(_update_end(), end).rowcount == 1:
            connection.execute(_delete_attributes(), {"of_trial": trial_id, "keys": list(attributes)})
            rows = [
                {"trial_id": trial_id, "key": k, "value_json": json.dumps(v)} for k, v in attributes.items()
            ]
            if rows:
                connection.execute(_insert(models.TrialUserAttributeModel), rows)
            if value is not None:
                row = {"trial_id": trial_id, "objective": 0, "value": value, "value_type": kind}
                connection.execute(_insert(models.TrialValueModel), row)
            return
    if storage.get_trial(trial_id).state != state:
        raise OperationFailed(WRITTEN_BY_ANOTHER)


# Statements of every trial, built once: to build one takes as long as to carry it out.


@cache
def _insert(model: type[models.BaseModel]) -> Insert:
    return _table(model).insert()


@cache
def _select_after() -> Select[int, int, TrialState]:
    trials = _table(models.TrialModel).c
    found = select(trials.trial_id, trials.number, trials.state)
    newer = (trials.study_id == bindparam("of_study"), trials.trial_id > bindparam("after"))
    return found.where(*newer).order_by(trials.trial_id)


@cache
def _update_end() -> Update:
    trials = _table(models.TrialModel)
    is_open = (trials.c.trial_id == bindparam("of_trial"), trials.c.state == TrialState.RUNNING)
    return trials.update().where(*is_open).values(state=bindparam("as"), datetime_complete=bindparam("at"))


@cache
def _delete_attributes() -> Delete:
    kept = _table(models.TrialUserAttributeModel)
    named = kept.c.key.in_(bindparam("keys", expanding=True))
    return kept.delete().where(kept.c.trial_id == bindparam("of_trial"), named)


def _utc(local: datetime.datetime) -> datetime.datetime:
    """A time as Optuna's columns hold it: UTC, without a zone. Optuna hands it out as local time, without a zone."""
    return local.astimezone(datetime.UTC).replace(tzinfo=None)


def _table(model: type[models.BaseModel]) -> Table:
    table = model.__table__
    assert isinstance(table, Table)
    return table
