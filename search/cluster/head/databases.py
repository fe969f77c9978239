"""The databases behind the services: PostgreSQL by its URL, or SQLite files in the state folder."""

import contextlib
import os
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from search.errors import InputError, OperationFailed
from search.machine.sqlite_url import sqlite_url
from search.machine.state_folder import read_private
from search.machine.urls import shown_url

VARIABLE = "SCHEDULE_SEARCH_DATABASE_URL"
FILE = "database-url"
# A server that vanishes without a word (a lost machine, a cut network) is noticed within a minute, not after two hours.
_NOTICE = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",  # ms
}
# One schema for each: Optuna and MLflow break each other's tables where they share one.
_STUDY, _MLFLOW, _AUTH = (f"schedule_search_{name}" for name in ("study", "mlflow", "mlflow_auth"))


@dataclass(frozen=True, kw_only=True)
class DatabaseUrls:
    """SQLAlchemy URLs, passwords included."""

    study: str = field(repr=False)
    mlflow: str = field(repr=False)
    auth: str = field(repr=False)


def shown(study_url: str) -> str:
    """The databases for the user's eyes, without a password."""
    url = make_url(study_url)
    if url.get_backend_name() == "sqlite":
        return f"SQLite files in {Path(url.database or '').parent} (no {VARIABLE} was given)"
    return f"PostgreSQL {shown_url(study_url)}"


def given_url(folder: Path) -> str | None:
    """The database that the user names: in the environment, else in `database-url` in the state folder.

    InputError for a file that is not private.
    """
    if url := os.environ.get(VARIABLE):
        return url
    content = read_private(folder / FILE) or b""
    return content.decode(errors="replace").strip() or None


def prepare(url: str | None, folder: Path) -> DatabaseUrls:
    """Make what is missing, down to the study's tables, so that two searches that start at once find them.

    Takes seconds and much memory (Optuna and torch): for a process of its own. InputError for a URL that is none,
    OperationFailed for a database that does not let us in.
    """
    from search.study.database import open_storage

    urls = _sqlite(folder) if url is None else _postgresql(url)
    open_storage(urls.study).engine.dispose()
    return urls


def _sqlite(folder: Path) -> DatabaseUrls:
    from search.tracking.client import ARTIFACTS, set_environment
    from search.tracking.database import make_database

    paths = [folder / f"{name}.db" for name in ("study", "mlflow", "mlflow-auth")]
    set_environment()
    make_database(
        folder / "mlflow.db", folder / ARTIFACTS
    )  # by the server, one that is killed would spoil it
    for path in paths:
        with contextlib.closing(sqlite3.connect(path, timeout=20)) as connection:
            # Readers do not wait for writers; it stays in the file.
            connection.execute("pragma journal_mode=wal")
    study, mlflow, auth = map(sqlite_url, paths)
    return DatabaseUrls(study=study, mlflow=mlflow, auth=auth)


def _postgresql(url: str) -> DatabaseUrls:
    base = parsed(url)
    try:
        engine = create_engine(_noticing(base))
    except ImportError as error:
        raise InputError(
            f"the driver of {shown(url)} is not installed ({error.name}). Write postgresql+psycopg://, and run: "
            "pip install -c constraints.txt '.[cluster]'"
        ) from error
    try:
        for schema in (_STUDY, _MLFLOW, _AUTH):
            _make_schema(engine, schema)
    except DBAPIError as error:
        reason = str(error.orig or error).strip().partition("\n")[0]
        raise OperationFailed(f"{shown(url)} does not let us in: {reason}") from error
    finally:
        engine.dispose()
    study, mlflow, auth = (in_schema(base, schema) for schema in (_STUDY, _MLFLOW, _AUTH))
    return DatabaseUrls(study=study, mlflow=mlflow, auth=auth)


def parsed(url: str) -> URL:
    """`url` with the driver that is installed. InputError, which does not repeat the password, if it is no such URL."""
    example = f"Example: postgresql+psycopg://USER:PASSWORD@HOST/DATABASE (in {VARIABLE})"
    try:
        found = make_url(url)
    except (ArgumentError, ValueError):
        raise InputError(f"the database must be given as a URL, but it is none. {example}") from None
    if found.get_backend_name() not in ("postgresql", "postgres") or not found.database:
        raise InputError(f"the database must be one of PostgreSQL, but got {shown_url(url)}. {example}")
    if found.drivername in ("postgresql", "postgres"):  # as hosters write it
        found = found.set(drivername="postgresql+psycopg")
    return found


def _make_schema(engine: Engine, schema: str) -> None:
    """The schema is there when this returns; making it needs CREATE on the database, finding it nothing."""
    with engine.connect() as connection:
        there = connection.execute(text("select 1 from pg_namespace where nspname = :name"), {"name": schema})
        if there.first() is None:
            connection.execute(text(f'create schema if not exists "{schema}"'))
            connection.commit()


def in_schema(base: URL, schema: str) -> str:
    """`base`, password included, for connections whose tables are in `schema` and that notice a vanished server."""
    options = base.query.get("options", "")
    assert isinstance(options, str)
    found = base.update_query_dict({"options": f"{options} -csearch_path={schema}".strip()})
    return _noticing(found).render_as_string(hide_password=False)


def _noticing(url: URL) -> URL:
    return url.update_query_dict({name: value for name, value in _NOTICE.items() if name not in url.query})
