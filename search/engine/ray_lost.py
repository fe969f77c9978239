"""Whether the Ray of our own still lives, and an end where its loss holds up this process."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from search.errors import EXIT_FAILED
from search.machine.interruption import end_at_once

# The processes without which a Ray is none, as it names them; the others only watch.
PARTS = ("gcs_server", "raylet")
# Environment variables of what a raylet starts.
OF_RAY = ("RAY_NODE_ID", "RAY_RAYLET_PID")
LOOK_SECONDS = 0.5


class RayLost(Exception):
    """A process without which the Ray of our own cannot be has ended; its message names it."""


def lost_part() -> str | None:
    """Which process without which the Ray of our own cannot be has ended; None: none, or there is no such Ray."""
    from ray._private import worker

    node = worker._global_node
    if node is None:
        return None
    started = ((name, info.process) for name in PARTS for info in node.all_processes.get(name, ()))
    return next((name for name, process in started if process.poll() is not None), None)


@contextmanager
def left_when_lost(leave_seconds: float = 20.0) -> Iterator[None]:
    """The process ends, in one line, if Ray was lost and this block is not left within `leave_seconds`.

    Ray's calls wait a minute for a lost part, in C++ that nothing gets out of, and then end the process without a word.
    """
    import ray  # noqa: F401  (here: two threads that import it at once meet a half of it)

    over = threading.Event()
    threading.Thread(target=_watch, args=(over, leave_seconds), name="ray-watch", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _watch(over: threading.Event, leave_seconds: float) -> None:
    part = None
    while part is None:
        if over.wait(LOOK_SECONDS):
            return
        part = lost_part()
    if not over.wait(leave_seconds):
        os.write(
            sys.stderr.fileno(),
            f"error: {told(part)}. The same command goes on where this stopped\n".encode(),
        )
        end_at_once(EXIT_FAILED)


def told(part: str) -> str:
    """The loss in a sentence, without its full stop."""
    return f"Ray was lost: {ended(part)}"


def ended(part: str) -> str:
    """What has become of the part, to follow a colon."""
    return f"its process {part} has ended, killed or for want of memory"
