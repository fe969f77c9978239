"""A study's rows in a SQLite file, read as Optuna reads them, but without SQLAlchemy and Alembic.

Their imports, and what they do for each row, take most of the time of a command that only looks.
`tests/search/test_study_reading.py` holds what is read here against Optuna.
"""

import datetime
import json
import math
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.trial import FrozenTrial, TrialState

_VERSIONS = ("v3.2.0.a", 12)  # of Optuna's tables, of what is in them
_NOT_FINITE = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}

Connection = sqlite3.Connection


@contextmanager
def opened(file: Path) -> Iterator[Connection]:
    """The file, which must be there, as it stands at one moment. LookupError for tables of another version."""
    uri = f"{file.absolute().as_uri()}?mode=rw"  # it is not written to, but what a killed driver left is tidied up
    with closing(sqlite3.connect(uri, uri=True, timeout=60, isolation_level=None)) as connection:
        connection.execute("begin")
        found = [
            connection.execute(query).fetchone()[0]
            for query in (
                "select version_num from alembic_version",
                "select schema_version from version_info",
            )
        ]
        if tuple(found) != _VERSIONS:
            raise LookupError(found)
        yield connection


def study_in(connection: Connection, name: str) -> tuple[int, dict[str, Any]]:
    """(id, user attributes) of the study. LookupError where there is none that minimises one value."""
    row = connection.execute("select study_id from studies where study_name = ?", [name]).fetchone()
    if row is None:
        raise LookupError(name)
    directions = connection.execute("select direction from study_directions where study_id = ?", row)
    if directions.fetchall() != [("MINIMIZE",)]:
        raise LookupError(name)
    found = connection.execute("select key, value_json from study_user_attributes where study_id = ?", row)
    return int(row[0]), {key: json.loads(text) for key, text in found}


def trials_in(connection: Connection, study_id: int) -> list[FrozenTrial]:
    """All trials of the study in their order. ValueError, LookupError, TypeError for what is no trial."""
    params: defaultdict[int, dict[str, Any]] = defaultdict(dict)
    distributions: defaultdict[int, dict[str, BaseDistribution]] = defaultdict(dict)
    for trial, name, value, text in _rows(
        connection, study_id, "trial_params", "param_name, param_value, distribution_json", "param_id"
    ):
        distribution = _distribution(text)
        distributions[trial][name] = distribution
        params[trial][name] = distribution.to_external_repr(value)
    values = _numbers(connection, study_id, "trial_values", "objective", "value, value_type")
    curves = _numbers(
        *(connection, study_id, "trial_intermediate_values"),
        *("step", "intermediate_value, intermediate_value_type"),
    )
    user = _attributes(connection, study_id, "trial_user_attributes")
    system = _attributes(connection, study_id, "trial_system_attributes")
    query = (
        "select trial_id, number, state, datetime_start, datetime_complete from trials where study_id = ? "
        "order by trial_id"
    )
    return [
        FrozenTrial(
            number=number,
            state=TrialState[state],
            value=None,
            values=[of[objective] for objective in range(len(of))] if (of := values.get(trial)) else None,
            datetime_start=_local(start),
            datetime_complete=_local(end),
            params=params[trial],
            distributions=distributions[trial],
            user_attrs=user.get(trial, {}),
            system_attrs=system.get(trial, {}),
            intermediate_values=curves.get(trial, {}),
            trial_id=trial,
        )
        for trial, number, state, start, end in connection.execute(query, [study_id])
    ]


def _rows(connection: Connection, study_id: int, table: str, columns: str, order: str) -> Iterator[Any]:
    """The trial's id and these columns of each row that belongs to a trial of the study."""
    ids = "select trial_id from trials where study_id = ?"
    query = f"select trial_id, {columns} from {table} where trial_id in ({ids}) order by {order}"
    yield from connection.execute(query, [study_id])


def _attributes(connection: Connection, study_id: int, table: str) -> Mapping[int, dict[str, Any]]:
    found: defaultdict[int, dict[str, Any]] = defaultdict(dict)
    for trial, key, text in _rows(connection, study_id, table, "key, value_json", "1"):
        found[trial][key] = json.loads(text)
    return found


def _numbers(
    connection: Connection, study_id: int, table: str, key: str, columns: str
) -> Mapping[int, dict[int, float]]:
    """By trial the numbers by their key."""
    found: defaultdict[int, dict[int, float]] = defaultdict(dict)
    for trial, at, value, kind in _rows(connection, study_id, table, f"{key}, {columns}", key):
        if kind != "FINITE":
            if value is not None:
                raise ValueError(value)
            value = _NOT_FINITE[kind]
        if not isinstance(value, float):
            raise TypeError(value)
        found[trial][at] = value
    return found


@lru_cache(maxsize=4096)
def _distribution(text: str) -> BaseDistribution:
    """Nobody changes one: trials may share it."""
    return json_to_distribution(text)


def _local(utc: str | None) -> datetime.datetime | None:
    """A time as Optuna hands it out: local, without a zone."""
    if utc is None:
        return None
    return datetime.datetime.fromisoformat(utc).replace(tzinfo=datetime.UTC).astimezone().replace(tzinfo=None)
