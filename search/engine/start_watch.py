"""Watches a start of Ray: its parts wait longer for each other, but not for one that has ended, and not for ever."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from subprocess import DEVNULL, Popen, TimeoutExpired
from typing import Any

from search.engine.ray_lost import LOOK_SECONDS, OF_RAY, PARTS, ended
from search.errors import EXIT_FAILED
from search.machine.descendants import kill_descendants_with
from search.machine.interruption import end_at_once

# How long one part of Ray waits for another one. Its own 30 s are exceeded where several searches start at once.
PART_SECONDS = 180.0
# How long a start may take in all: it takes 3 to 6 s, with a load of 15 on two cores a minute, with one of 30 two.
LIMIT_SECONDS = 420.0
_LEAVE_SECONDS = 20.0
_REAP_SECONDS = 5.0

_HOST = "--node-ip-address="  # of all its parts
_STAND_IN = """
import sys
from concurrent.futures import ThreadPoolExecutor
import grpc
server = grpc.server(ThreadPoolExecutor(1))
server.add_insecure_port(sys.argv[1])
server.start()
server.wait_for_termination(60)
"""

_Call = Callable[..., Any]


class StartGivenUp(Exception):
    """This start of Ray will not succeed; its message says why."""


class StartWatch:
    """One start of Ray, with the processes that it begins.

    given_up: why it was ended from here, None if it was not.
    """

    def __init__(
        self,
        limit_seconds: float = LIMIT_SECONDS,
        leave_seconds: float = _LEAVE_SECONDS,
        is_wanted: Callable[[], bool] = lambda: True,
    ):
        """limit_seconds: for all of it. leave_seconds: how long it may still hold us up once it is given up.
        is_wanted: whether anybody waits for it."""
        self.given_up: str | None = None
        self._limit, self._leave_seconds, self._is_wanted = limit_seconds, leave_seconds, is_wanted
        self._deadline = time.monotonic() + limit_seconds
        self._begun: list[tuple[str, Popen[bytes]]] = []  # by what Ray calls it
        self._gcs_host = "127.0.0.1"
        self._gcs_address: str | None = None  # before its port is known
        self._over, self._lock = threading.Event(), threading.Lock()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Ray is started in this block. StartGivenUp, or an error of Ray's, where its processes were ended.

        The process ends, in one line, where Ray does not leave its C++ then.
        """
        from ray._private import node, services

        threading.Thread(target=self._watch, name="ray-start", daemon=True).start()
        try:
            with (
                replaced(services, "start_ray_process", self._noting),
                replaced(services, "get_node", self._asking_for_node),
                replaced(node, "wait_for_persisted_port", self._waiting_for_port),
            ):
                yield
        finally:
            with self._lock:
                self._over.set()
        if self.given_up is not None:
            raise StartGivenUp(self.given_up)

    def end_processes(self) -> None:
        """End what this start has begun, as far as it still runs."""
        for _, process in self._begun:
            process.kill()
        kill_descendants_with(OF_RAY)
        for _, process in self._begun:
            with suppress(TimeoutExpired):
                process.wait(_REAP_SECONDS)

    def _watch(self) -> None:
        why = None
        while why is None:
            if self._over.wait(LOOK_SECONDS):
                return
            why = self._lost_because()
        with self._lock:
            if self._over.is_set():
                return
            self.given_up = why
            self.end_processes()
        with self._stand_in():
            if not self._over.wait(self._leave_seconds):
                line = f"error: Ray did not start: {why}. The same command starts it again\n"
                os.write(sys.stderr.fileno(), line.encode())
                end_at_once(EXIT_FAILED)

    @contextmanager
    def _stand_in(self) -> Iterator[None]:
        """In this block somebody answers in the place of the GCS, which has ended.

        Ray asks a GCS that is away for a minute, in C++ that nothing gets out of, and then ends the process. It leaves
        that at once where it is answered that there is no such method.
        """
        from ray._private import worker

        if self._gcs_address is None or worker._global_node is not None:  # the driver itself would abort then
            yield
            return
        process = Popen([sys.executable, "-c", _STAND_IN, self._gcs_address], stdout=DEVNULL, stderr=DEVNULL)
        try:
            yield
        finally:
            process.kill()
            process.wait()

    def _lost_because(self) -> str | None:
        """Why this start will not succeed; None: it may."""
        for part, process in self._begun:
            if part in PARTS and process.poll() is not None:
                return ended(part)
        return f"it was not done in {self._limit:.0f} s" if time.monotonic() > self._deadline else None

    def _check_wanted(self) -> None:
        """Before the driver connects: what it is connected to is left as any Ray."""
        if not self._is_wanted():
            raise StartGivenUp("nobody waits for it any more")

    def _noting(self, start: _Call) -> _Call:
        def started(command: list[str], process_type: str, *arguments: Any, **options: Any) -> Any:
            self._check_wanted()
            with self._lock:  # what is begun when all is ended would be missed
                if self.given_up is not None:
                    raise StartGivenUp(self.given_up)
                found = start(command, process_type, *arguments, **options)
                self._begun.append((process_type, found.process))
            self._gcs_host = next(
                (a.removeprefix(_HOST) for a in command if a.startswith(_HOST)), self._gcs_host
            )
            return found

        return started

    def _asking_for_node(self, ask: _Call) -> _Call:
        """Ray, which gives up its node after 30 s of asking for it, waits longer for each answer."""
        return lambda *arguments: self._patiently(lambda: ask(*arguments), PART_SECONDS, pause=0.1)

    def _waiting_for_port(self, wait: _Call) -> _Call:
        """Ray waits in C++ for the port of its GCS, without a look at whether that lives: so it waits in parts."""

        def waited(*arguments: Any, timeout_ms: int) -> Any:
            part_ms = int(1000 * LOOK_SECONDS)
            port = self._patiently(lambda: wait(*arguments, timeout_ms=part_ms), timeout_ms / 1000, pause=0.0)
            self._gcs_address = f"{self._gcs_host}:{port}"
            return port

        return waited

    def _patiently(self, ask: Callable[[], Any], seconds: float, pause: float) -> Any:
        deadline = time.monotonic() + seconds
        while True:
            self._check_wanted()
            why = self._lost_because()
            if why is not None:
                raise StartGivenUp(why)  # no RuntimeError, after which Ray asks again
            try:
                return ask()
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(pause)


@contextmanager
def replaced(module: Any, name: str, by: Callable[[_Call], _Call]) -> Iterator[None]:
    """In this block the module, or class, has `by` of what it has under this name."""
    before = getattr(module, name)
    setattr(module, name, by(before))
    try:
        yield
    finally:
        setattr(module, name, before)
