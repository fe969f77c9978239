"""What a command makes of the environment it is started in: its output and its way to this machine's own servers."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")
_THREADS = "OPENBLAS_NUM_THREADS"
_OBJECTS = 1_000_000


def settle() -> None:
    """Once, before anything is printed or asked: results are never lost to a terminal or to a proxy."""
    sys.stdout, sys.stderr = _open(sys.stdout), _open(sys.stderr)
    for name in ("no_proxy", "NO_PROXY"):  # libraries, and the processes that we start, read one or the other
        given = os.environ.get(name, "").split(",")
        os.environ[name] = ",".join(dict.fromkeys([*filter(None, given), *_THIS_MACHINE]))


@contextmanager
def in_short() -> Iterator[None]:
    """In this block a command does what is over in less than a second: what pays in longer ones is left out.

    Python looks for garbage less often, and the libraries of linear algebra that are imported in the block start no
    threads; each is some hundredths of a second.
    """
    thresholds, threads = gc.get_threshold(), os.environ.get(_THREADS)
    gc.set_threshold(_OBJECTS)
    os.environ.setdefault(_THREADS, "1")  # read as such a library is loaded
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        if threads is None:
            os.environ.pop(_THREADS, None)


def _open(stream: TextIO | None) -> TextIO:
    """The stream, which replaces what its encoding lacks; one that swallows all in place of one that is closed."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    return stream
