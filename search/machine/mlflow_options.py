"""How an MLflow server is told what it serves and to whom: loopback only, nothing by arguments."""

import socket

from search.errors import InputError
from search.machine.sqlite_url import for_mlflow

HOST = "127.0.0.1"


def free_port(wanted: int | None = None, preferred: int = 5000) -> int:
    """`wanted` if it is free, InputError if not; else `preferred` or, where taken, any free port."""
    for port in [wanted] if wanted is not None else [preferred, 0]:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except (OSError, OverflowError) as error:
                reason = str(error).rstrip(".")
                continue
            return int(probe.getsockname()[1])
    raise InputError(f"port {wanted} of {HOST} cannot be used: {reason}. Choose another with --port")


def server_environment(uri: str, artifacts: str, port: int) -> dict[str, str]:
    """What `mlflow server` is told, by environment: a command line, and a password in `uri`, all users can see.

    artifacts: folder or bucket, as a URI. Only requests that name this address and port as their host are answered,
    so that no web page can reach it under another name.
    """
    base = f"{HOST}:{port}"
    return {
        "MLFLOW_BACKEND_STORE_URI": for_mlflow(uri),
        "MLFLOW_ARTIFACTS_DESTINATION": artifacts,
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "MLFLOW_HOST": HOST,
        "MLFLOW_PORT": str(port),
        "MLFLOW_WORKERS": "1",
        "MLFLOW_SERVER_ALLOWED_HOSTS": f"{base},localhost:{port}",
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": f"http://{base},http://localhost:{port}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # a second process of 240 MB that nothing here needs
        "PYTHONUNBUFFERED": "1",
    }
