"""Whether databases, MLflow and disks can be used."""

import os
import shutil
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from search.checks.check import Check

GIB = 2**30
MIN_FREE_GIB, GOOD_FREE_GIB = 0.5, 5.0
_SHARED_FILESYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "lustre", "gpfs", "beegfs", "ceph")


def space_of(what: str, place: Path) -> Iterator[Check]:
    """Whether `place` can be written to and has room. what: what lies there."""
    exists = _nearest_existing(place)
    if not os.access(exists, os.W_OK | os.X_OK):
        message = f"{what}: {exists} cannot be written to"
        yield Check("disk", "fail", message, "Change its owner, or set storage.path")
        return
    free = shutil.disk_usage(exists).free / GIB
    message = f"{what} in {place}: {free:.1f} GiB free"
    if free < MIN_FREE_GIB:
        yield Check("disk", "fail", message, f"Free at least {MIN_FREE_GIB:g} GiB")
    elif free < GOOD_FREE_GIB:
        yield Check("disk", "warn", message, "Checkpoints of a large search may not fit")
    else:
        yield Check("disk", "ok", message)


def _nearest_existing(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def check_url(name: str, url: str) -> Iterator[Check]:
    """Whether the database answers. SQLite is looked at as a file, so that nothing is created."""
    from sqlalchemy import create_engine, text
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    from search.machine.urls import shown_url

    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        yield from check_sqlite(name, Path(parsed.database or ""))
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
    place = _nearest_existing(path.absolute())
    kind = filesystem_of(place)
    if kind in _SHARED_FILESYSTEMS:
        remedy = (
            "SQLite loses data on shared folders. Set storage.path to a local one, or give a server's URL"
        )
        yield Check(name, "fail", f"{path} lies on {kind}", remedy)
        return
    if not path.exists():
        if os.access(place, os.W_OK | os.X_OK):
            yield Check(name, "ok", f"{path} will be made")
        else:
            yield Check(name, "fail", f"{path} cannot be made in {place}", "Set storage.path")
        return
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        yield Check(name, "fail", f"{path} cannot be written to", "Change the owner of it and its folder")
        return
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=5)
        try:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        finally:
            connection.close()
    except sqlite3.Error as error:
        remedy = "Is a search running? Otherwise restore it from a copy"
        yield Check(name, "warn" if "locked" in str(error) else "fail", f"{path}: {error}", remedy)
        return
    if verdict == "ok":
        yield Check(name, "ok", f"{path} can be read and written")
    else:
        yield Check(name, "fail", f"{path} is damaged: {verdict}", "Restore it from a copy")


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


def check_server(uri: str) -> Check:
    """Whether an MLflow server answers at `uri`."""
    from search.machine.urls import shown_url

    address = f"{uri.rstrip('/')}/health"
    shown = shown_url(uri)
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            body = answer.read(64).decode("utf-8", "replace").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        remedy = "Start it, or leave storage.mlflow_uri out. A search survives its absence"
        return Check("mlflow", "fail", f"{shown} does not answer: {reason}", remedy)
    if body != "OK":
        return Check("mlflow", "warn", f"{shown} answers {body!r}", "Is it an MLflow server?")
    return Check("mlflow", "ok", f"{shown} answers")
