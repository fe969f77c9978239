"""What a command makes of the environment it is started in: its output and its way to this machine's own servers."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")
_THREADS = "OPENBLAS_NUM_THREADS"


def settle() -> None:
    """Once, before anything is printed or asked: results are never lost to a terminal or to a proxy."""
    sys.stdout, sys.stderr = _open(sys.stdout), _open(sys.stderr)
    for name in ("no_proxy", "NO_PROXY"):  # libraries, and the processes that we start, read one or the other
        given = os.environ.get(name, "").split(",")
        os.environ[name] = ",".join(dict.fromkeys([*filter(None, given), *_THIS_MACHINE]))


@contextmanager
def without_blas_threads() -> Iterator[None]:
    """Libraries of linear algebra that are imported in this block start no threads, which cost a look .05 s."""
    given = os.environ.get(_THREADS)
    os.environ.setdefault(_THREADS, "1")  # read as such a library is loaded
    try:
        yield
    finally:
        if given is None:
            os.environ.pop(_THREADS, None)


def _open(stream: TextIO | None) -> TextIO:
    """The stream, which replaces what its encoding lacks; one that swallows all in place of one that is closed."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    return stream
