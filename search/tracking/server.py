"""A local MLflow server for one search's database: loopback only, ended with everything it started."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from search.errors import InputError, OperationFailed

HOST = "127.0.0.1"
_START_SECONDS = 120.0  # 8 s on a quiet machine, 25 s on a busy one
_STOP_SECONDS = 5.0


def free_port(wanted: int | None = None, preferred: int = 5000) -> int:
    """`wanted` if it is free, InputError if not; else `preferred` or, where taken, any free port."""
    for port in [wanted] if wanted is not None else [preferred, 0]:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except (OSError, OverflowError) as error:
                reason = error
                continue
            return int(probe.getsockname()[1])
    raise InputError(f"port {wanted} of {HOST} cannot be used: {reason}. Choose another with --port")


def _environment() -> dict[str, str]:
    return os.environ | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # a second process of 240 MB that nothing here needs
        "PYTHONUNBUFFERED": "1",
    }


@contextmanager
def mlflow_server(uri: str, artifacts: Path, port: int, log_file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server on the database `uri`, answering when the block begins, gone with its children when it ends.

    artifacts: folder for uploads over HTTP. log_file: gets all that the server prints. Only requests that
    name this address and port as their host are answered, so that no web page can reach it under another
    name. Raises OperationFailed if the server does not come up.
    """
    base = f"http://{HOST}:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri]
    command += ["--artifacts-destination", artifacts.resolve().as_uri(), "--default-artifact-root"]
    command += ["mlflow-artifacts:/", "--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--allowed-hosts", f"{HOST}:{port},localhost:{port}"]
    command += ["--cors-allowed-origins", f"{base},http://localhost:{port}"]
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("ab") as log:
        # A session of its own: Ctrl-C in the terminal reaches us alone, and we end the whole group.
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=_environment(),
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
