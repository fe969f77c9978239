"""What a search and its trials write, as rows of Optuna's tables.

Optuna looks up the trial before each parameter, attribute and value that it writes, and for a parameter its use in
other trials too. With one writer, as our studies have, there is nothing to look up; it is a sixth of the time.
"""

import datetime
import json
from collections.abc import Mapping
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Table
from sqlalchemy.exc import IntegrityError


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


def insert_trial(storage: RDBStorage, study_id: int, number: int, trial: FrozenTrial) -> int:
    """Add the RUNNING `trial`, which has no values yet, as `number` of the study; returns its id."""
    assert trial.state == TrialState.RUNNING and not trial.intermediate_values and not trial.system_attrs
    row = {
        "study_id": study_id,
        "number": number,
        "state": trial.state,
        "datetime_start": trial.datetime_start,
    }
    parameters = [
        {
            "param_name": name,
            "param_value": distribution.to_internal_repr(trial.params[name]),
            "distribution_json": distribution_to_json(distribution),
        }
        for name, distribution in trial.distributions.items()
    ]
    attributes = [{"key": key, "value_json": json.dumps(value)} for key, value in trial.user_attrs.items()]
    with storage.engine.begin() as connection:
        added = connection.execute(_table(models.TrialModel).insert(), row)
        trial_id = int(added.inserted_primary_key[0])  # type: ignore[index]
        for model, rows in (
            (models.TrialParamModel, parameters),
            (models.TrialUserAttributeModel, attributes),
        ):
            if rows:
                connection.execute(_table(model).insert(), [{"trial_id": trial_id, **row} for row in rows])
    return trial_id


def insert_report(storage: RDBStorage, trial_id: int, step: int, value: float) -> None:
    """Keep the finite `value` of a trial at `step`; nothing if there is one."""
    kind = models.TrialIntermediateValueModel.TrialIntermediateValueType.FINITE
    row = {"trial_id": trial_id, "step": step, "intermediate_value": value, "intermediate_value_type": kind}
    try:
        with storage.engine.begin() as connection:
            connection.execute(_table(models.TrialIntermediateValueModel).insert(), row)
    except IntegrityError as error:
        if storage.get_trial(trial_id).intermediate_values.get(step) is None:
            raise AssertionError("the study is written by another program") from error


def finish_trial(
    storage: RDBStorage, trial_id: int, state: TrialState, value: float | None, attributes: Mapping[str, Any]
) -> None:
    """End a RUNNING trial with the finite `value` and more user attributes; nothing if it has ended like that.

    Attributes of these names that are there already are replaced: a driver of version 0.1.0, which wrote them before
    the end in a transaction of their own, may have been killed in between.
    """
    trials, kept = _table(models.TrialModel), _table(models.TrialUserAttributeModel)
    kind = models.TrialValueModel.TrialValueType.FINITE
    end = (
        trials.update()
        .where(trials.c.trial_id == trial_id, trials.c.state == TrialState.RUNNING)
        .values(state=state, datetime_complete=datetime.datetime.now())
    )
    with storage.engine.begin() as connection:
        if connection.execute(end).rowcount == 1:
            connection.execute(kept.delete().where(kept.c.trial_id == trial_id, kept.c.key.in_(attributes)))
            rows = [
                {"trial_id": trial_id, "key": k, "value_json": json.dumps(v)} for k, v in attributes.items()
            ]
            if rows:
                connection.execute(kept.insert(), rows)
            if value is not None:
                row = {"trial_id": trial_id, "objective": 0, "value": value, "value_type": kind}
                connection.execute(_table(models.TrialValueModel).insert(), row)
            return
    if storage.get_trial(trial_id).state != state:
        raise AssertionError("the study is written by another program")


def _table(model: type[models.BaseModel]) -> Table:
    table = model.__table__
    assert isinstance(table, Table)
    return table
