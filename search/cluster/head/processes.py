"""Processes of the servers: marked in their environment when started, found and ended by that mark.

Children inherit the mark. So nothing is left behind, neither when a server's first process is killed alone (MLflow's
web process survives it) nor when the supervisor is: the next one finds what was left.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from search.machine.checkout import ROOT

_MARK = "SCHEDULE_SEARCH_PART"  # as in earlier versions: what their supervisors left is found too
_STOP_SECONDS = 8.0
_KILL_SECONDS = 5.0
_MAX_LOG_BYTES = 2 * 2**20


def start(
    command: Sequence[str], environment: Mapping[str, str], mark: str, log: Path
) -> subprocess.Popen[bytes]:
    """`command` with the code of this checkout, in a session of its own; what it prints is added to `log`.

    environment: in addition to ours.
    """
    with open_log(log) as stream:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env={**os.environ, **environment, _MARK: mark},
            cwd=ROOT,
            start_new_session=True,  # Ctrl-C in the terminal is the supervisor's
        )


def open_log(path: Path) -> BinaryIO:
    """The log to write on in, for its owner alone; one that has grown large is put aside."""
    if path.exists() and path.stat().st_size > _MAX_LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return open(path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600))


def end(mark: str, patience: float = _STOP_SECONDS) -> bool:
    """End all processes whose mark begins with `mark`; whether there was any.

    patience: seconds that they are given to end by themselves.
    """
    found = False
    for sent, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, _KILL_SECONDS)):
        deadline = time.monotonic() + seconds
        told: set[int] = set()
        while (running := _send(sent, mark, told)) and time.monotonic() < deadline:
            time.sleep(0.1)
        found = found or bool(told)
        if not running:
            break
    return found


def _send(sent: signal.Signals, mark: str, told: set[int]) -> bool:
    """Signal the marked processes that were not `told` yet; whether there is any at all."""
    running = False
    for process, pid in _marked(mark):
        running = True
        if pid not in told:
            told.add(pid)
            with suppress(ProcessLookupError):  # it has just ended
                for each in (sent, signal.SIGCONT):  # one that was stopped does not hear of SIGTERM
                    signal.pidfd_send_signal(process, each)
    return running


def _marked(mark: str) -> Iterator[tuple[int, int]]:
    """(descriptor, process id) of each marked process of this user but ourselves; zombies carry no mark."""
    wanted = f"{_MARK}={mark}".encode()
    for path in Path("/proc").glob("[0-9]*"):
        pid = int(path.name)
        with _process(pid) as descriptor:
            if descriptor is None or pid == os.getpid():
                continue
            try:
                environment = (path / "environ").read_bytes().split(b"\0")
            except OSError:  # it has ended, or belongs to another user
                continue
            if any(entry.startswith(wanted) for entry in environment):
                yield descriptor, pid


@contextmanager
def _process(pid: int) -> Iterator[int | None]:
    """A descriptor of the process, which stays its own when the number is given to another one."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)
