"""The log of a program: its times are UTC, and a disk that is full ends neither the program nor in tracebacks."""

import contextlib
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from search.machine.search_folders import usable

LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class UtcFormatter(logging.Formatter):
    """`2026-01-31 12:00:00.000Z LEVEL ...`: in order whatever the machine, and wherever its clock is set to."""

    converter = staticmethod(time.gmtime)
    default_msec_format = "%s.%03dZ"


class LogFile(logging.FileHandler):
    """Adds to the file at `path`. What cannot be written is lost; stderr hears of the first time, in one line."""

    def __init__(self, path: Path, form: str):
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self.setFormatter(UtcFormatter(form))
        self._told = False

    def close(self) -> None:
        """What could not be written until now is lost."""
        with contextlib.suppress(OSError):
            super().close()

    def handleError(self, record: logging.LogRecord) -> None:
        """Called where a line could not be written."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._told and sys.stderr is not None:
            self._told = True
            sys.stderr.write(f"warning: {self.baseFilename} is incomplete: {error.strerror}\n")


@contextlib.contextmanager
def logged_to(path: Path) -> Iterator[None]:
    """In this block all that libraries have to say goes into the file at `path` as well."""
    with usable(path.parent):
        root, handler = logging.getLogger(), LogFile(path, LINE)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
        handler.close()
