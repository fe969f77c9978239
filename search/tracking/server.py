"""A local MLflow server for one search's database: loopback only, ended with everything it started."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from search.errors import OperationFailed
from search.machine.mlflow_options import HOST, server_environment

_START_SECONDS = 120.0  # 8 s on a quiet machine, 25 s on a busy one
_STOP_SECONDS = 5.0


@contextmanager
def mlflow_server(uri: str, artifacts: Path, port: int, log_file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server on the database `uri`, answering when the block begins, gone with its children when it ends.

    artifacts: folder for uploads over HTTP. log_file: gets all that the server prints. Raises OperationFailed if
    the server does not come up.
    """
    base = f"http://{HOST}:{port}"
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("ab") as log:
        # A session of its own: Ctrl-C in the terminal reaches us alone, and we end the whole group.
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | server_environment(uri, artifacts.resolve().as_uri(), port),
            start_new_session=True,
        )
    try:
        _wait_until_healthy(server, base, log_file)
        yield server
    finally:
        _end_group(server)


def _wait_until_healthy(server: subprocess.Popen[bytes], base: str, log_file: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{base}/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    reason = "ended at once" if server.poll() is not None else f"did not answer in {_START_SECONDS:.0f} s"
    raise OperationFailed(f"the MLflow server {reason}. See {log_file}")


def _end_group(server: subprocess.Popen[bytes]) -> None:
    """End the server and its workers, which outlive it when it is killed alone."""
    for sent, patience in ((signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, _STOP_SECONDS)):
        try:
            os.killpg(server.pid, sent)
        except ProcessLookupError:
            break  # the group is empty
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            server.poll()  # takes the ended server itself out of its group
            try:
                os.killpg(server.pid, 0)
            except ProcessLookupError:
                break
            time.sleep(0.05)
    server.wait()
