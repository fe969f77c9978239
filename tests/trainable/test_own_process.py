"""Work in a process of its own: its answer, its error, its end."""

import os
import signal
import time
from functools import partial

import pytest

from trainable.own_process import in_own_process


def test_the_answer_comes_from_a_process_that_has_ended() -> None:
    process = in_own_process(os.getpid)
    assert process != os.getpid()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_an_error_is_raised_here() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        in_own_process(partial(int, "x"))


def test_a_process_that_dies_is_named() -> None:
    with pytest.raises(RuntimeError, match="has died, perhaps for want of memory"):
        in_own_process(partial(os._exit, 9))


def test_who_is_interrupted_does_not_wait_for_it() -> None:
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            in_own_process(partial(time.sleep, 1e6))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
