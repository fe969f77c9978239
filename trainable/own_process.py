"""Work in a process of its own. What it takes of a GPU, the CUDA context too, is free again when it is done.

A process of multiprocessing would first run this one's script, which begins another search where the call of the first
stands at its top level.
"""

import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from spaces.plugins import carried

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_T = TypeVar("_T")
_PROGRAM = """\
import pickle, sys
from multiprocessing.connection import Connection

connection = Connection(int(sys.argv[1]))
sys.path[:] = connection.recv()
pickle.loads(connection.recv_bytes())(connection)
"""


def start_process(work: Callable[["Connection"], object]) -> "tuple[subprocess.Popen[bytes], Connection]":
    """A new Python, which calls `work` with its end of a connection, and the other end. `work` is pickled.

    OSError if it does not start. When either process ends, the other one's connection is at its end.
    """
    from multiprocessing import Pipe

    pickled = pickle.dumps(work)
    ours, theirs = Pipe()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
    try:
        with suppress(ConnectionError):  # it has died: who reads from the connection hears of it
            ours.send(sys.path)
            ours.send_bytes(pickled)
    except BaseException:  # Ctrl-C
        process.kill()
        process.wait()
        raise
    return process, ours


def in_own_process(work: Callable[[], _T]) -> _T:
    """What `work` returns or raises. It and its answer are pickled, tensors by value."""
    process, connection = start_process(partial(_answer, pickle.dumps(carried(work))))
    try:
        answer, error = pickle.loads(connection.recv_bytes())
    except (EOFError, ConnectionError):
        raise RuntimeError(
            "the process that did a part of the work has died, perhaps for want of memory"
        ) from None
    except BaseException:  # Ctrl-C: nobody waits for the answer
        process.kill()
        raise
    finally:
        process.wait()
        connection.close()
    if error is not None:
        raise error
    result: _T = answer
    return result


def _answer(pickled: bytes, connection: "Connection") -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches this process too
    try:
        answer = pickle.dumps((pickle.loads(pickled)(), None))
    except Exception as error:
        answer = pickle.dumps((None, error))
    connection.send_bytes(answer)
