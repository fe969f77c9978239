"""Keeps the servers of the head running until it is told to stop."""

import contextlib
import http.client
import logging
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from search.cluster.head import processes
from search.cluster.head.server import PROBE_SECONDS, PROBE_TIMEOUT_SECONDS, Action, Health, Server
from search.cluster.head.supervisor_lock import write_status

_ROUND_SECONDS = 0.5
_HUNG_SECONDS = 2.0  # what hangs is not given long to say goodbye

_log = logging.getLogger("serve")


@dataclass
class _ServerProcess:
    """A server with its process, if it has one now, and the judgement of it."""

    server: Server
    mark: str
    log: Path
    health: Health = field(default_factory=Health)
    process: subprocess.Popen[bytes] | None = None
    probe_at: float = 0.0

    @property
    def status(self) -> dict[str, Any]:
        up = "healthy" if self.health.healthy else "starting"
        state = "down" if self.process is None else up
        return {"url": self.server.url, "state": state, "restarts": self.health.restarts}


def supervise(servers: Sequence[Server], folder: Path, stopped: Callable[[], bool]) -> None:
    """Run the servers until `stopped()`, then end them.

    folder: the state folder; each server prints into `<server>.log` there. Blocks; one thread.
    """
    everything = f"{folder}:"
    supervised = [
        _ServerProcess(server, f"{everything}{server.name}:", folder / f"{server.name}.log")
        for server in servers
    ]
    written: object = None
    try:
        while not stopped():
            for each in supervised:
                _attend(each)
            status = {each.server.name: each.status for each in supervised}
            if status != written:
                with contextlib.suppress(OSError):  # a full disk: written again in the next round
                    write_status(folder, status)
                    written = status
            time.sleep(_ROUND_SECONDS)
    finally:
        processes.end(everything)
        for each in supervised:
            _reap(each)
        _log.info("stopped")


def _attend(supervised: _ServerProcess) -> None:
    """Look at the server, then do what its health asks for."""
    if supervised.process is not None:
        code = supervised.process.poll()
        if code is not None:
            _lost(supervised, f"ended ({f'signal {-code}' if code < 0 else f'exit code {code}'})")
        else:
            _probe(supervised)
    match supervised.health.next(time.monotonic()):
        case Action.START:
            _start(supervised)
        case Action.END:
            _lost(supervised, "does not answer")


def _probe(supervised: _ServerProcess) -> None:
    """Ask the server whether it is well, if it is time to."""
    now = time.monotonic()
    if now < supervised.probe_at:
        return
    was_healthy = supervised.health.healthy
    answered = _answers(supervised.server.health_url)
    supervised.health.probed(time.monotonic(), answered)
    supervised.probe_at = now + PROBE_SECONDS  # at once, where the answer was waited for in vain
    if supervised.health.healthy and not was_healthy:
        _log.info("%s answers at %s", supervised.server.name, supervised.server.url)


def _start(supervised: _ServerProcess) -> None:
    server = supervised.server
    supervised.health.started(time.monotonic())
    try:
        process = processes.start(server.command, server.environment, supervised.mark, supervised.log)
    except OSError as error:
        _lost(supervised, f"could not be started ({error})")
        return
    supervised.process, supervised.probe_at = process, 0.0
    _log.info("%s started (process %d)", server.name, process.pid)


def _lost(supervised: _ServerProcess, reason: str) -> None:
    """End what is left of the server; its health says when it is started again."""
    processes.end(supervised.mark, patience=_HUNG_SECONDS)
    _reap(supervised)
    supervised.health.ended(time.monotonic())
    wait = supervised.health.wait
    when = f"in {wait:.0f} s" if wait else "at once"
    _log.warning(
        "%s %s; it is started again %s. See %s", supervised.server.name, reason, when, supervised.log
    )


def _reap(supervised: _ServerProcess) -> None:
    """Forget the ended process. One that even SIGKILL does not end (a dead network disk) must not hold us up."""
    if supervised.process is not None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            supervised.process.wait(timeout=1)
        supervised.process = None


def _answers(url: str) -> bool:
    """Whether the address answers 200. Asked directly: a proxy in the environment is not for loopback."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=PROBE_TIMEOUT_SECONDS)
    try:
        connection.request("GET", address.path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
