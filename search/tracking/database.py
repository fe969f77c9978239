"""MLflow's own SQLite file: made as a whole or not at all, and told of when it is damaged.

MLflow makes some eighty tables one after the other, for seconds. Of a process that is killed meanwhile it would leave a
file that it can never open again, for all searches of its folder.
"""

import contextlib
import fcntl
import os
import secrets
import shlex
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from search.errors import OperationFailed
from search.machine.sqlite_health import code_of, damage_of, says_damaged
from search.machine.sqlite_url import for_mlflow, sqlite_url

# Of SQLite's troubles those that pass.
_PASSING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


class DamagedDatabase(OperationFailed):
    """MLflow's database, which it will never open again as it is. One line: what, which file, how to go on."""


def make_database(path: Path, artifacts: Path) -> None:
    """Have MLflow's tables in the file at `path`; nothing where it has any.

    artifacts: where MLflow keeps files of what it is told no place for.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if _has_tables(path):
        return
    with _only_one_in(path.parent):
        if _has_tables(path):
            return
        for left in path.parent.glob(f".{path.name}.*.tmp*"):  # by processes that were killed
            left.unlink(missing_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
        try:
            make_tables(temporary, artifacts)
            for beside in ("-wal", "-shm"):  # of an empty file that is replaced
                path.with_name(path.name + beside).unlink(missing_ok=True)
            temporary.replace(path)
        except BaseException:
            for left in path.parent.glob(f"{temporary.name}*"):
                left.unlink(missing_ok=True)
            raise


def check_database(path: Path) -> None:
    """DamagedDatabase for a file that is not whole. What else is wrong with it, MLflow will say."""
    verdict = damage_of(path)
    if verdict is None:
        with (
            contextlib.suppress(sqlite3.DatabaseError),
            contextlib.closing(sqlite3.connect(path)) as connection,
        ):
            verdict = _lacks(connection)
    if verdict is not None:
        raise damaged(path, verdict)


def _lacks(connection: sqlite3.Connection) -> str | None:
    """What of MLflow's tables is not there. MLflow would make a lost table anew as its first version had it."""
    from mlflow.store.db.base_sql_model import Base
    from mlflow.store.db.utils import _get_latest_schema_revision
    from mlflow.store.tracking.dbmodels import models  # noqa: F401

    try:
        versions = [row[0] for row in connection.execute("select version_num from alembic_version")]
    except sqlite3.OperationalError:
        versions = []
    if not versions:
        return "the version of its tables is lost"
    if versions != [_get_latest_schema_revision()]:
        return None  # MLflow brings them to its own version, or says how
    for table in Base.metadata.sorted_tables:
        found = {row[1] for row in connection.execute(f"pragma table_xinfo('{table.name}')")}
        if not found.issuperset(table.columns.keys()):
            return f"the table {table.name} is lost"
    return None


def of_another_version(path: Path) -> DamagedDatabase:
    """The error for a file of another MLflow."""
    return DamagedDatabase(
        f"MLflow's database {path} is of another version of MLflow. Copy it, then run: mlflow db upgrade "
        f"{shlex.quote(for_mlflow(sqlite_url(path)))}"
    )


def damaged(path: Path, reason: str) -> DamagedDatabase:
    """The error for a file that MLflow will never open again."""
    first = " ".join(reason.split())[:120]
    return DamagedDatabase(
        f"MLflow's database {path} is damaged ({first}). No result is lost with it: remove it and what is called "
        f"{path.name}-*, then bring all in again with `python -m search reconcile NAME` for each search"
    )


def passes(error: BaseException) -> bool:
    """Whether it is one of SQLite's troubles that pass: the file is busy, or its disk is full."""
    return any(code_of(each) in _PASSING for each in _chain(error))


def is_damage(error: BaseException) -> bool:
    """Whether SQLite says that its file is damaged."""
    return any(says_damaged(each) for each in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that it came from."""
    while error is not None:
        yield error
        original = getattr(error, "orig", None)
        if isinstance(original, BaseException):
            yield original
        error = error.__cause__ or error.__context__


def _has_tables(path: Path) -> bool:
    """Whether there is anything in the file; damage counts as something."""
    if not path.exists() or path.stat().st_size == 0:
        return False
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=20)) as connection:
            return connection.execute("select 1 from sqlite_master limit 1").fetchone() is not None
    except sqlite3.DatabaseError:
        return True


@contextlib.contextmanager
def _only_one_in(folder: Path) -> Iterator[None]:
    """One process makes the file, the others wait: with many at once it would take each of them minutes."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def make_tables(path: Path, artifacts: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(for_mlflow(sqlite_url(path)), artifacts.as_uri()).engine.dispose()
    # Write-ahead logging stays set in the file: a commit costs one sync instead of several, and the UI reads while a
    # search writes. A file system without it keeps the default mode.
    with (
        contextlib.suppress(sqlite3.OperationalError),
        contextlib.closing(sqlite3.connect(path, timeout=20)) as connection,
    ):
        connection.execute("pragma journal_mode=wal")
