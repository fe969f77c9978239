"""One driver for one study, on whatever machines they run: held in the study's PostgreSQL server.

A lock of the session, so the server itself frees it when the driver or its machine has gone. A study in a SQLite file
has one machine, where the lock in the search's folder (`machine.driver.only_driver`) is enough; other servers are not
covered.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from sqlalchemy import Connection, NullPool, create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from search.errors import OperationFailed
from search.study.store import StudyStore

LOOK_SECONDS = 15.0  # between two looks at whether the lock is still held
# A driver that lost its connection takes the lock again; for a minute the server may think the old one alive.
TAKE_SECONDS = 90.0
_KEEP_ALIVE = {"tcp_keepalives_idle": 30, "tcp_keepalives_interval": 10, "tcp_keepalives_count": 3}
_DRIVER = "driver"  # key in the study's header: who holds it, to be told to others


@contextmanager
def only_driver_of(store: StudyStore, url: str, name: str, interrupted: threading.Event) -> Iterator[None]:
    """Hold the study at `url`; OperationFailed if another driver does, here or on another machine.

    If the server was away and another driver took the study meanwhile, `interrupted` is set, and OperationFailed
    raised when the block has ended.
    """
    if make_url(url).get_backend_name() != "postgresql":
        yield
        return
    lock = _Lock(url, store.header["study_id"])
    if not lock.take():
        raise OperationFailed(
            f"search {name!r} is being run by {store.header.get(_DRIVER, 'another driver')}. "
            "Wait for it, or stop it there"
        )
    over, lost = threading.Event(), threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_SECONDS):
            if not lock.is_held(over):
                lost.set()
                interrupted.set()
                return

    watcher = threading.Thread(target=watch, name="study-lock", daemon=True)
    watcher.start()
    try:
        store.set_header(_DRIVER, f"process {os.getpid()} on {socket.gethostname()}")
        yield
    finally:
        over.set()
        watcher.join()
        lock.free()
    if lost.is_set():
        raise OperationFailed(
            f"search {name!r} was taken over by another driver while the study's database was away. This driver "
            "has stopped"
        )


class _Lock:
    def __init__(self, url: str, study_id: str):
        self._engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        self._key = int(study_id, 16) - 2**63  # PostgreSQL's keys are signed
        self._connection: Connection | None = None

    def take(self) -> bool:
        with ExitStack() as stack:
            connection = stack.enter_context(self._engine.connect())
            for option, value in _KEEP_ALIVE.items():
                connection.execute(text(f"SET {option} = {value}"))
            if not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": self._key}):
                return False
            stack.pop_all()
            self._connection = connection
        return True

    def is_held(self, over: threading.Event) -> bool:
        """Whether it is still ours; takes it again where the connection was lost. Waits for a server that is away."""
        refused_since = None
        while not over.is_set():
            try:
                if self._connection is not None:
                    self._connection.execute(text("SELECT 1"))
                    return True
                if self.take():
                    return True
                refused_since = refused_since or time.monotonic()
                if time.monotonic() - refused_since > TAKE_SECONDS:
                    return False
            except SQLAlchemyError:
                self._close()
                refused_since = None
            over.wait(1.0)
        return True

    def free(self) -> None:
        self._close()
        self._engine.dispose()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):  # it may be broken
                connection.close()
