"""A quiet, impatient MLflow client that writes nowhere but to the given store.

Env variables are set once, before MLflow is imported, and never unset: changing the environment from a
thread while native code reads it is not safe. Values that the user has set are kept.
"""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from search.machine.sqlite_url import for_mlflow, sqlite_file
from search.tracking.database import (
    DamagedDatabase,
    check_database,
    damaged,
    is_damage,
    make_database,
    of_another_version,
    passes,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

ARTIFACTS = "mlflow-artifacts"  # folder of the files of runs
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # it also writes an id into the home folder
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Repeating is the tracker's job: MLflow's own seven retries of 120 s would hide an outage for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
# Answers that the same request will get again. Anything else (no connection, overload, a locked
# database, a missing permission) may pass and is tried again for as long as the search runs.
_REFUSALS = frozenset(
    {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "MALFORMED_REQUEST", "RESOURCE_DOES_NOT_EXIST"}
)
_NOWHERE = (
    "mlflow-artifacts:/"  # with a server, which there is not: nothing of ours is kept in that experiment
)


def set_environment() -> None:
    """Defaults for MLflow in this process; call before the first import of mlflow."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def is_http(uri: str) -> bool:
    """Whether `uri` is a tracking server rather than a database."""
    return uri.startswith(("http://", "https://"))


def artifact_root(uri: str, folder: Path) -> Path | None:
    """Where the files of runs go: beside a SQLite database, in `folder` for another one, None (the
    server decides) behind a tracking server.
    """
    if is_http(uri):
        return None
    database = sqlite_file(uri)
    return (database.parent if database else folder.resolve()) / ARTIFACTS


def is_refusal(error: Exception) -> bool:
    """Whether MLflow would refuse the same request again."""
    if isinstance(error, DamagedDatabase) or is_damage(error):
        return True
    if isinstance(error, OSError):  # what `requests` raises, among it an unreadable answer (a ValueError)
        return False
    return isinstance(error, TypeError | ValueError) or getattr(error, "error_code", "") in _REFUSALS


def connect(uri: str) -> "MlflowClient":
    """A client of the tracking server or database `uri`; creates the tables of a new database.

    DamagedDatabase for a SQLite file that MLflow cannot open, whatever is waited for.
    """
    set_environment()
    from mlflow import MlflowClient

    # MLflow gives its loggers a handler that writes to the screen. Its messages go where the application's
    # go; the NullHandler keeps Python from printing warnings when the application has set up nothing.
    for name in ("mlflow", "alembic"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [logging.NullHandler()]
        logger.propagate = True
        logger.setLevel(logging.WARNING)
    database, uri = sqlite_file(uri), for_mlflow(uri)
    if database is None:
        if not is_http(uri):
            from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

            # By default MLflow's own experiment is in the current folder, whose name is pasted into a statement of SQL.
            SqlAlchemyStore(uri, _NOWHERE)
        return MlflowClient(tracking_uri=uri, registry_uri=uri)
    make_database(database, database.parent / ARTIFACTS)
    check_database(database)
    try:
        return MlflowClient(tracking_uri=uri, registry_uri=uri)
    except Exception as error:
        if passes(error):
            raise
        if "out-of-date" in str(error):
            raise of_another_version(database) from error
        raise damaged(database, f"{type(error).__name__}: {error}") from error
