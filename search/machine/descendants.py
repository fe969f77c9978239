"""The processes that this one has started, and those that they have started."""

import os
import signal
from collections import defaultdict
from contextlib import suppress
from pathlib import Path


def descendants() -> list[int]:
    """Their process ids, parents before children; of a machine without /proc none."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError):  # it has ended meanwhile
            # pid (name) state ppid ...; a name may have spaces and brackets in it.
            children[int(stat.read_text().rpartition(")")[2].split()[1])].append(int(stat.parent.name))
    found, waiting = [], [os.getpid()]
    while waiting:
        own = children[waiting.pop()]
        found += own
        waiting += own
    return found


def kill_descendants() -> None:
    """End them at once: all are looked up before the first is ended, since orphans lose their parent."""
    for process in descendants():
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process, signal.SIGKILL)
