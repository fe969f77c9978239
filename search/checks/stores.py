"""Whether databases, MLflow and disks can be used.

SQLAlchemy is imported inside its check: where it is missing or broken that is a finding, and the other checks go on.
"""

import os
import shutil
import sqlite3
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from search.checks.check import Check
from search.machine.urls import shown_url
from search.machine.writable import nearest_existing, why_not_writable

GIB = 2**30
MIN_FREE_GIB, GOOD_FREE_GIB = 0.5, 5.0
_SHARED_FILESYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "lustre", "gpfs", "beegfs", "ceph")
_SECONDS = 5.0


def space_of(what: str, folder: Path, elsewhere: str = "set storage.path") -> Iterator[Check]:
    """Whether `folder`, made or not, can be written to and has room.

    what: what lies there. elsewhere: how it is moved.
    """
    why = why_not_writable(folder)
    if why is not None:
        yield Check("disk", "fail", f"{what}: {why}", f"Change its owner, or {elsewhere}")
        return
    free = shutil.disk_usage(nearest_existing(folder)).free / GIB
    message = f"{what} in {folder}: {free:.1f} GiB free"
    if free < MIN_FREE_GIB:
        yield Check("disk", "fail", message, f"Free at least {MIN_FREE_GIB:g} GiB")
    elif free < GOOD_FREE_GIB:
        yield Check("disk", "warn", message, "Checkpoints of a large search may not fit")
    else:
        yield Check("disk", "ok", message)


def check_url(name: str, url: str) -> Iterator[Check]:
    """Whether the database answers. SQLite is looked at as a file, so that nothing is created."""
    from sqlalchemy import create_engine, text
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        path = Path(parsed.database or "")
        yield from check_mlflow(path) if name == "mlflow" else check_sqlite(name, path)
        return
    shown = shown_url(url)
    try:
        engine = create_engine(url, pool_pre_ping=False)
        start = time.monotonic()
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
        engine.dispose()
    except ImportError as error:
        yield Check(name, "fail", f"{shown}: {error}", f"Install its driver: pip install {error.name}")
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        remedy = "Is the server running, are user and database right?"
        yield Check(name, "fail", f"{shown}: {reason}", remedy)
    else:
        yield Check(name, "ok", f"{shown} answers in {1000 * (time.monotonic() - start):.0f} ms")


def check_sqlite(name: str, path: Path) -> Iterator[Check]:
    """Whether the file, or the one that will be made, can be used and is whole."""
    existing = nearest_existing(path.absolute())
    kind = filesystem_of(existing)
    if kind in _SHARED_FILESYSTEMS:
        remedy = (
            "SQLite loses data on shared folders. Set storage.path to a local one, or give a server's URL"
        )
        yield Check(name, "fail", f"{path} lies on {kind}", remedy)
    elif path.exists():
        yield _existing_sqlite(name, path)
    elif (why := why_not_writable(existing)) is None:
        yield Check(name, "ok", f"{path} will be made")
    else:
        yield Check(name, "fail", f"{path} cannot be made: {why}", "Set storage.path")


def check_mlflow(path: Path) -> Iterator[Check]:
    """The same for MLflow's SQLite file, which MLflow opens then as for a search."""
    found = list(check_sqlite("mlflow", path))
    yield from found
    if path.exists() and all(check.level == "ok" for check in found):
        from search.machine.sqlite_url import sqlite_url
        from search.tracking.client import connect

        try:
            connect(sqlite_url(path)).search_experiments(max_results=1)
        except Exception as error:
            message, _, remedy = " ".join(str(error).split()).partition(". ")
            yield Check("mlflow", "fail", message[:300], remedy[:300])


def check_server(uri: str) -> Check:
    """Whether an MLflow server answers at `uri`."""
    shown = shown_url(uri)
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=_SECONDS) as answer:
            body = answer.read(64).decode("utf-8", "replace").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        remedy = "Start it, or leave storage.mlflow_uri out. A search survives its absence"
        return Check("mlflow", "fail", f"{shown} does not answer: {reason}", remedy)
    if body != "OK":
        return Check("mlflow", "warn", f"{shown} answers {body!r}", "Is it an MLflow server?")
    return Check("mlflow", "ok", f"{shown} answers")


def filesystem_of(path: Path) -> str:
    """Type of the file system that holds `path`, "" if unknown."""
    best, kind = "", ""
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in mounts:
        _, mounted, this, *_ = line.split(" ")
        mounted = mounted.replace("\\040", " ")
        if path.resolve().is_relative_to(mounted) and len(mounted) >= len(best):
            best, kind = mounted, this
    return kind


def _existing_sqlite(name: str, path: Path) -> Check:
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        return Check(name, "fail", f"{path} cannot be written to", "Change the owner of it and its folder")
    try:
        uri = f"{path.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, timeout=_SECONDS)) as connection:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        level = "warn" if "locked" in str(error) else "fail"
        return Check(name, level, f"{path}: {error}", "Is a search running? Otherwise restore it from a copy")
    if verdict != "ok":
        return Check(name, "fail", f"{path} is damaged: {verdict}", "Restore it from a copy")
    return Check(name, "ok", f"{path} can be read and written")
