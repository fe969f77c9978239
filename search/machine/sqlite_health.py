"""What SQLite says of its files."""

import contextlib
import sqlite3
from pathlib import Path

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def damage_of(path: Path) -> str | None:
    """What is wrong with the file, None: nothing, or that cannot be told now."""
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=60)) as connection:
            verdict = str(connection.execute("pragma quick_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as error:
        return str(error) if says_damaged(error) else None
    return None if verdict == "ok" else verdict


def says_damaged(error: BaseException) -> bool:
    """Whether it is SQLite's word for a file that is none of its own, or no longer whole."""
    return code_of(error) in _DAMAGED


def code_of(error: BaseException) -> int:
    """SQLite's primary result code, 0 of any other error."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
