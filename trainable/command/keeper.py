"""Runs one command and ends it, with all that it started, when its reader goes: a program of its own.

`python keeper.py GRACE COMMAND...`, standard library only. It waits for the command to end, or for its own stdin to
be closed, which the system does when the worker at the other end dies, however it dies. Then the command's process
group gets SIGTERM and, GRACE seconds later, SIGKILL. The last line on stdout is `ended CODE`, negative for a signal, or
`refused WHY` where the command cannot be started. The command's output goes to stderr.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress

_SET_DEATH_SIGNAL = 1  # prctl(2)
_POLL_SECONDS = 0.1


_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # by the keeper: its worker says when it is to end


def _before_the_command() -> None:
    """In the new process. Should the keeper be killed, the system kills the command; Linux only."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_DFL)
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


def _signal_group(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _is_to_end() -> bool:
    return bool(select.select([0], [], [], _POLL_SECONDS)[0])


def keep(command: "list[str]", grace_seconds: float) -> int:
    """Run the command to its end, or until stdin is closed; its exit code, negative for a signal."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=2, start_new_session=True, preexec_fn=_before_the_command
    )
    while process.poll() is None:
        if _is_to_end():
            _signal_group(process.pid, signal.SIGTERM)
            deadline = time.monotonic() + grace_seconds
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
            break
    _signal_group(process.pid, signal.SIGKILL)  # what it left behind would hold its slice
    return process.wait()


if __name__ == "__main__":
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    try:
        end = f"ended {keep(sys.argv[2:], float(sys.argv[1]))}"
    except OSError as error:
        end = f"refused {error.strerror or error}"
    with suppress(BrokenPipeError):  # nobody is there to be told
        os.write(1, f"{end}\n".encode())
