"""How a process of the command line ends."""

import atexit
import gc
import os
import sys
import threading
from contextlib import suppress
from typing import NoReturn

_TAKEN_APART = ("torch", "ray", "mlflow")  # what these hold is given back by themselves


def leave(code: int) -> NoReturn:
    """End the process with this exit code.

    To look through all objects for garbage is a fifth of the time of a short command, and to take them apart one by one
    is some hundredths of a second: neither is done where nothing but memory is given back.
    """
    gc.freeze()
    if threading.active_count() == 1 and not any(name in sys.modules for name in _TAKEN_APART):
        with suppress(OSError, ValueError):  # Python itself says what is wrong with its output
            sys.stdout.flush()
            sys.stderr.flush()
            atexit._run_exitfuncs()
            os._exit(code)
    sys.exit(code)
