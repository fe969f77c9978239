"""Ctrl-C, SIGTERM and a closed terminal: the first asks the search to stop, the second ends all its processes."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from search.machine.descendants import kill_descendants
from search.machine.temporary import remove_folders

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_AGAIN = signal.SIGUSR2


class Interruption(threading.Event):
    """Set by the first signal. Whoever has something open looks at it and closes that first.

    insist_seconds: after which a signal that was lost is raised again.
    """

    def __init__(self, insist_seconds: float = 1.0) -> None:
        super().__init__()
        self._insist_seconds = insist_seconds
        self._raises = False
        self._received: int = signal.SIGINT

    @property
    def exit_code(self) -> int:
        """128 and the number of the signal, as shells count it."""
        return 128 + self._received

    def install(self) -> None:
        """Handle the signals from now on; in the main thread only.

        The second one ends the process at once: the trials' checkpoints are whole at any moment.
        """
        for number in STOPPING:
            if (
                number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
            ):  # else nohup: it is to go on
                signal.signal(number, self._handle)
        signal.signal(_AGAIN, self._raise)
        sys.unraisablehook = _quiet

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Handle the signals in this block, and as before after it. Not in the main thread: nothing is handled."""
        with keeping_signals():
            if threading.current_thread() is threading.main_thread():
                self.install()
            yield

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self.is_set():
            end_at_once(128 + signum)
        self._received = signum
        self.set()
        self._raise()

    @contextmanager
    def raising(self) -> Iterator[None]:
        """In this block the signal raises KeyboardInterrupt, wherever the main thread is: for long work of libraries
        that may be left at any point, because its files are written as a whole or not at all."""
        over = threading.Event()
        threading.Thread(target=self._insist, args=(over,), name="interruption", daemon=True).start()
        self._raises = True
        try:
            if self.is_set():
                raise KeyboardInterrupt
            yield
        finally:
            self._raises = False
            over.set()

    def _insist(self, over: threading.Event) -> None:
        """Raise again where it was lost: Python drops what is raised in a destructor or a callback of its memory."""
        while not over.wait(self._insist_seconds):
            if self.is_set() and signal.getsignal(_AGAIN) == self._raise:
                signal.pthread_kill(threading.main_thread().ident or 0, _AGAIN)

    def _raise(self, signum: int = 0, frame: FrameType | None = None) -> None:
        if self._raises:
            raise KeyboardInterrupt


def end_at_once(exit_code: int) -> NoReturn:
    """End this process wherever it is, and leave no process and no temporary folder of its own."""
    kill_descendants()
    remove_folders()
    os._exit(exit_code)


@contextmanager
def keeping_signals() -> Iterator[None]:
    """Signals are handled after the block as before it: Ray, when it begins, takes SIGTERM for itself and aborts."""
    if threading.current_thread() is not threading.main_thread():
        with _keeping_actions():
            yield
        return
    before = {number: signal.getsignal(number) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # not one of Python's
                signal.signal(number, handler)


@contextmanager
def _keeping_actions() -> Iterator[None]:
    """The same in another thread, where Python sets no handlers, but Ray's C++ does."""
    sigaction = ctypes.CDLL(None).sigaction  # sigaction(2), whose struct is nowhere as large as this
    before = {number: ctypes.create_string_buffer(1024) for number in STOPPING}
    for number, action in before.items():
        sigaction(int(number), None, action)
    try:
        yield
    finally:
        for number, action in before.items():
            sigaction(int(number), action, None)


def _quiet(unraisable: Any) -> None:
    """A KeyboardInterrupt that is lost is raised again: nobody needs to be told."""
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
