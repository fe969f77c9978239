"""The processes that this one has started, and those that they have started."""

import ctypes
import os
import signal
from collections import defaultdict
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

_SET_CHILD_SUBREAPER = 36  # prctl(2)


def adopt_orphans() -> None:
    """From now on a descendant whose parent dies becomes this process's child, where the system can do that (Linux).

    Else it would be nobody's, and not be found when all that was started is to end.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


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
    _kill(descendants())


def kill_descendants_with(variables: Collection[str]) -> None:
    """End those that were started with one of these environment variables."""
    _kill(process for process in descendants() if not _variables_of(process).isdisjoint(variables))


def _variables_of(process: int) -> set[str]:
    """The names of the environment variables that it was started with."""
    try:
        settings = Path(f"/proc/{process}/environ").read_bytes()
    except OSError:  # it has ended meanwhile, or is another user's
        return set()
    return {setting.partition(b"=")[0].decode(errors="replace") for setting in settings.split(b"\0")}


def _kill(processes: Iterable[int]) -> None:
    for process in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process, signal.SIGKILL)
