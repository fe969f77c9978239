"""The process that holds a lock file on this machine: found without locking anything, signalled, waited for."""

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Holder:
    """A live process. pidfd: refers to it for ever, also when its number is given to another one."""

    pid: int
    pidfd: int
    since: float  # seconds since 1970

    def send(self, signum: signal.Signals) -> None:
        """Nothing if it has just ended."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signum)

    def wait(self, seconds: float) -> bool:
        """Whether it has ended within `seconds`."""
        return bool(select.select([self.pidfd], [], [], seconds)[0])


@contextmanager
def holder_of(lock: Path) -> Iterator[Holder | None]:
    """The process whose number stands in the file `lock`, None if there is none on this machine.

    The number may be that of a process that came later, so it counts only while that process has this very file open.
    Nothing is locked here: a process that wants the lock meanwhile would find it taken.
    """
    try:
        pid = int(lock.read_text())
        pidfd = os.pidfd_open(pid)
    except (OSError, ValueError):
        yield None
        return
    try:
        # In this order: what the process has open is looked at after the process is held.
        yield Holder(pid, pidfd, lock.stat().st_mtime) if _has_open(pid, lock) else None
    finally:
        os.close(pidfd)


def _has_open(pid: int, path: Path) -> bool:
    wanted = path.stat()
    try:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                found = descriptor.stat()
            except OSError:  # closed meanwhile, or no file
                continue
            if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                return True
    except OSError:  # ended meanwhile, or another user's
        return False
    return False
