"""Which supervisor runs on this machine, and how its servers are: a lock that dies with it, and a file for readers."""

import fcntl
import json
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from search.errors import OperationFailed
from search.machine.holder import holder_of
from search.machine.state_folder import write_private

_LOCK, _STATUS = "serve.lock", "serve.json"
LOG_FILE = "serve.log"
_STOP_SECONDS = 40.0


class AlreadyRunning(Exception):
    """Another supervisor holds the state folder."""


@contextmanager
def only_supervisor(folder: Path) -> Iterator[None]:
    """Hold the state folder; AlreadyRunning if another one does, killed ones excepted."""
    with (folder / _LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning from None
        forget(folder)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        try:
            yield
        finally:
            forget(folder)
            lock.truncate(0)


def forget(folder: Path) -> None:
    """Take away what a supervisor that has ended said: in a container the next one may have its process id."""
    (folder / _STATUS).unlink(missing_ok=True)


def supervisor(folder: Path) -> int | None:
    """Process id of the supervisor that runs, None if there is none."""
    with holder_of(folder / _LOCK) as found:
        return found.pid if found is not None else None


def write_status(folder: Path, servers: Mapping[str, Mapping[str, Any]]) -> None:
    """servers: name -> url, state (starting, healthy, down) and number of restarts, for `status`."""
    write_private(folder / _STATUS, json.dumps({"pid": os.getpid(), "parts": servers}, indent=2) + "\n")


def status(folder: Path) -> dict[str, Any] | None:
    """What the supervisor that runs says: its pid and, under "parts", its servers by name.

    None if no supervisor runs, or it has said nothing yet.
    """
    pid = supervisor(folder)
    try:
        found: dict[str, Any] = json.loads((folder / _STATUS).read_text(encoding="utf-8"))
        is_of_it = pid is not None and found["pid"] == pid and isinstance(found["parts"], dict)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if is_of_it else None  # else it is of one that was killed


def stop(folder: Path) -> bool:
    """End the supervisor and all its servers; False if there was none. OperationFailed if it does not end."""
    with holder_of(folder / _LOCK) as found:
        if found is None:
            return False
        found.send(signal.SIGTERM)
        if not found.wait(_STOP_SECONDS):
            raise OperationFailed(
                f"process {found.pid} has not ended in {_STOP_SECONDS:.0f} s. See {folder / LOG_FILE}"
            )
    return True
