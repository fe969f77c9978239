"""Work in a process of its own. What it takes of a GPU, the CUDA context too, is free again when it is done."""

import pickle
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from spaces.plugins import carried

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_T = TypeVar("_T")


def in_own_process(work: Callable[[], _T]) -> _T:
    """What `work` returns or raises. It and its answer are pickled, tensors by value."""
    import multiprocessing

    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(sender, pickle.dumps(carried(work))), daemon=True)
    process.start()
    sender.close()
    try:
        answer, error = pickle.loads(receiver.recv_bytes())
    except EOFError:
        raise RuntimeError(
            "the process that did a part of the work has died, perhaps for want of memory"
        ) from None
    except BaseException:  # Ctrl-C: nobody waits for the answer
        process.kill()
        raise
    finally:
        process.join()
        receiver.close()
    if error is not None:
        raise error
    result: _T = answer
    return result


def _answer(sender: "Connection", pickled: bytes) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches this process too
    try:
        answer = pickle.dumps((pickle.loads(pickled)(), None))
    except Exception as error:
        answer = pickle.dumps((None, error))
    sender.send_bytes(answer)
