"""Keeps the parts of the service running until it is told to stop."""

import contextlib
import http.client
import logging
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from search.cluster.head import processes
from search.cluster.head.server import PROBE_SECONDS, PROBE_TIMEOUT_SECONDS, Action, Health, Server
from search.cluster.head.supervisor_lock import write_status

_ROUND_SECONDS = 0.5
_HUNG_SECONDS = 2.0  # what hangs is not given long to say goodbye

_log = logging.getLogger("serve")


@dataclass
class _Kept:
    """A part with its process and the judgement of it."""

    part: Server
    mark: str
    log: Path
    watch: Health = field(default_factory=Health)
    process: subprocess.Popen[bytes] | None = None
    probe_at: float = 0.0

    @property
    def state(self) -> str:
        if self.process is None:
            return "down"
        return "healthy" if self.watch.healthy else "starting"


def supervise(parts: Sequence[Server], folder: Path, stopped: Callable[[], bool]) -> None:
    """Run the parts until `stopped()`, then end them.

    folder: the state folder; each part prints into `<part>.log` there. Blocks; one thread.
    """
    everything = f"{folder}:"
    kept = [_Kept(part, f"{everything}{part.name}:", folder / f"{part.name}.log") for part in parts]
    told: object = None
    try:
        while not stopped():
            for each in kept:
                _attend(each)
            states = {
                each.part.name: {
                    "url": each.part.url,
                    "state": each.state,
                    "restarts": each.watch.restarts,
                }
                for each in kept
            }
            if states != told:
                with contextlib.suppress(OSError):  # a full disk: said again in the next round
                    write_status(folder, states)
                    told = states
            time.sleep(_ROUND_SECONDS)
    finally:
        processes.end(everything)
        for each in kept:
            _reap(each)
        _log.info("stopped")


def _attend(kept: _Kept) -> None:
    name, watch, now = kept.part.name, kept.watch, time.monotonic()
    if kept.process is not None:
        code = kept.process.poll()
        if code is not None:
            _lost(kept, f"ended ({f'signal {-code}' if code < 0 else f'exit code {code}'})")
        elif now >= kept.probe_at:
            was = watch.healthy
            watch.probed(time.monotonic(), _answers(kept.part.health))
            kept.probe_at = now + PROBE_SECONDS  # at once, where the answer was waited for in vain
            if watch.healthy and not was:
                _log.info("%s answers at %s", name, kept.part.url)
    match watch.next(time.monotonic()):
        case Action.START:
            watch.started(time.monotonic())
            try:
                kept.process = processes.start(kept.part.command, kept.part.environment, kept.mark, kept.log)
            except OSError as error:
                _lost(kept, f"could not be started ({error})")
                return
            kept.probe_at = 0.0
            _log.info("%s started (process %d)", name, kept.process.pid)
        case Action.END:
            _lost(kept, "does not answer")


def _lost(kept: _Kept, reason: str) -> None:
    """End what is left of the part; its watch says when it is started again."""
    processes.end(kept.mark, patience=_HUNG_SECONDS)
    _reap(kept)
    kept.watch.ended(time.monotonic())
    when = f"in {kept.watch.wait:.0f} s" if kept.watch.wait else "at once"
    _log.warning("%s %s; started again %s. See %s", kept.part.name, reason, when, kept.log)


def _reap(kept: _Kept) -> None:
    """Forget the ended process. One that even SIGKILL does not end (a dead network disk) must not hold us up."""
    if kept.process is not None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            kept.process.wait(timeout=1)
        kept.process = None


def _answers(health: str) -> bool:
    """Whether the address answers 200. Asked directly: a proxy in the environment is not for loopback."""
    address = urlsplit(health)
    connection = http.client.HTTPConnection(address.netloc, timeout=PROBE_TIMEOUT_SECONDS)
    try:
        connection.request("GET", address.path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
