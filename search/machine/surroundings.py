"""What a command makes of the environment it is started in: its output and its way to this machine's own servers."""

import os
import sys
from typing import TextIO

_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")


def settle() -> None:
    """Once, before anything is printed or asked: results are never lost to a terminal or to a proxy."""
    sys.stdout, sys.stderr = _open(sys.stdout), _open(sys.stderr)
    for name in ("no_proxy", "NO_PROXY"):  # libraries, and the processes that we start, read one or the other
        given = os.environ.get(name, "").split(",")
        os.environ[name] = ",".join(dict.fromkeys([*filter(None, given), *_THIS_MACHINE]))


def _open(stream: TextIO | None) -> TextIO:
    """The stream, which replaces what its encoding lacks; one that swallows all in place of one that is closed."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    return stream
