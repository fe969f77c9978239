"""A `Projection` in a process of its own, so that MLflow's work never takes the driver's time.

An MLflow client spends tens of milliseconds of Python on each trial. On a thread of the driver that time is
taken from deciding what comes next: measured, a driver took in half as many results a second.
"""

import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from search.errors import OperationFailed
from search.machine.log_file import UtcFormatter
from search.machine.temporary import PREFIX, remove_folders_of, temporary_folder
from search.record import TrialRecord
from search.tracking.names import check_metric_name
from search.tracking.projection import ParentInfo, Projection
from spaces.plugins import carried
from trainable.own_process import start_process

# The driver and the trials come first where there are not cores enough.
_NICE = 19


class TrackingError(Exception):
    """MLflow's trouble in one line. refusal: the same request would be refused again."""

    def __init__(self, message: str, refusal: bool):
        super().__init__(message)
        self.refusal = refusal


class ProjectionProcess:
    """Does what a `Projection` does. Blocks while it waits, without holding up other threads.

    settings: the arguments of `Projection`. log_file: gets what libraries have to say there. environment: set there
    only, and told through a pipe: credentials. The process is started at the first use, and again if it was lost;
    it ends with this one, killed or not.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        log_file: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ):
        check_metric_name(settings["objective"])  # here, before anything is trained
        self._settings = dict(settings)
        self._log_file = log_file
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._closed = False

    def sync(self, record: TrialRecord) -> None:
        """See `Projection.sync`."""
        self._call("sync", record)

    def sync_sampling(self, record: TrialRecord, measured: Mapping[str, Any]) -> None:
        """See `Projection.sync_sampling`."""
        self._call("sync_sampling", record, measured)

    def sync_model(self, record: TrialRecord, make: Callable[[], Any]) -> None:
        """See `Projection.sync_model`. make: pickled."""
        self._call("sync_model", record, make)

    def sync_parent(self, info: ParentInfo) -> None:
        """See `Projection.sync_parent`."""
        self._call("sync_parent", info)

    def sync_leaderboard(self, rows: Sequence[Mapping[str, Any]], conclusion: str = "") -> None:
        """See `Projection.sync_leaderboard`."""
        self._call("sync_leaderboard", rows, conclusion)

    def reload(self) -> None:
        """Forget what was seen in MLflow. A process that is started anew has seen nothing."""
        if self._connection is not None:
            self._call("reload")

    @staticmethod
    def is_refusal(error: Exception) -> bool:
        """Whether MLflow would refuse the same request again."""
        return isinstance(error, TrackingError) and error.refusal

    def close(self) -> None:
        """End the process. What it was writing is as after a crash: the next projection completes it."""
        self._closed = True
        self._end()  # a thread that waits for its answer hears that it has gone

    def _end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            remove_folders_of(self._process.pid)

    def _call(self, method: str, *arguments: Any) -> None:
        try:
            if self._connection is None:
                if self._closed:
                    raise EOFError
                self._connection = self._start()
            self._connection.send((method, arguments))
            problem = self._connection.recv()
        except (EOFError, OSError) as error:
            # Lost, or ended by `close`: only in the first case does the next call start another one.
            self._connection = None
            self._end()
            raise TrackingError("the process that writes to MLflow was lost", refusal=False) from error
        if problem is not None:
            raise TrackingError(*problem)

    def _start(self) -> Connection:
        serve = partial(
            _serve,
            settings=carried(self._settings),
            log_file=self._log_file,
            environment=self._environment,
        )
        # Ctrl-C in the terminal is the driver's, and none of a process that still imports: it inherits this mask.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process, connection = start_process(serve)
            os.setpriority(os.PRIO_PROCESS, self._process.pid, _NICE)  # it has a second of imports before it
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return connection


def _serve(
    connection: Connection,
    settings: Mapping[str, Any],
    log_file: Path | None,
    environment: Mapping[str, str],
) -> None:
    """Answer calls with None or (what went wrong, whether MLflow refuses it) until the driver has gone."""
    os.environ.update(environment)
    if log_file is not None:
        descriptor = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, sys.stdout.fileno())
        os.dup2(descriptor, sys.stderr.fileno())
        handler = logging.StreamHandler()
        handler.setFormatter(UtcFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    # MLflow has temporary folders of its own, and is ended inside their blocks.
    with temporary_folder(f"{PREFIX}{os.getpid()}-") as folder:
        tempfile.tempdir = str(folder)
        _answer(connection, Projection(**settings))


def _answer(connection: Connection, projection: Projection) -> None:
    while True:
        try:
            method, arguments = connection.recv()
        except (EOFError, OSError):
            return
        problem = None
        try:
            getattr(projection, method)(*arguments)
        except Exception as error:
            kind = "" if isinstance(error, OperationFailed) else f"{type(error).__name__}: "
            text = " ".join(f"{kind}{error}".split())
            problem = (text, projection.is_refusal(error))
        try:
            connection.send(problem)
        except OSError:
            return
