"""Optuna's dashboard on the study's database, where it is installed: loopback, with MLflow's user and password.

By itself it asks nobody for a password, and lets everybody delete studies.
"""

import base64
import hmac
import importlib.util
import os
import socketserver
import sys
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from search.cluster.head.server import HeadSettings, Server
from search.machine.mlflow_options import HOST

_URL, _PORT, _CREDENTIALS = (f"SCHEDULE_SEARCH_DASHBOARD_{name}" for name in ("URL", "PORT", "CREDENTIALS"))

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def server(settings: HeadSettings) -> Server | None:
    """The dashboard; None where it is not installed."""
    if importlib.util.find_spec("optuna_dashboard") is None:
        return None
    credentials = base64.b64encode(f"{settings.username}:{settings.password}".encode()).decode()
    environment = {
        _URL: settings.study_url,
        _PORT: str(settings.dashboard_port),
        _CREDENTIALS: credentials,
    }
    url = f"http://{HOST}:{settings.dashboard_port}"
    command = (sys.executable, "-m", "search.cluster.head.servers.optuna_dashboard")
    return Server(
        name="optuna-dashboard", command=command, environment=environment, url=url, health_url=f"{url}/health"
    )


def guarded(application: Application, port: int, credentials: str) -> Application:
    """`application` for those who name this address as their host and have the credentials; /health for all."""
    hosts = (f"{HOST}:{port}", f"localhost:{port}")

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def say(status: str, *headers: tuple[str, str]) -> Iterable[bytes]:
            start_response(status, [("Content-Type", "text/plain"), *headers])
            return [f"{status}\n".encode()]

        origin = environ.get("HTTP_ORIGIN", "").removeprefix("http://")
        if environ.get("HTTP_HOST") not in hosts or ("HTTP_ORIGIN" in environ and origin not in hosts):
            return say("403 Forbidden")  # a web page, which browsers send the password along with
        if environ.get("PATH_INFO") == "/health":
            return say("200 OK")
        given = environ.get("HTTP_AUTHORIZATION", "")
        if not hmac.compare_digest(given.encode(), f"Basic {credentials}".encode()):
            return say("401 Unauthorized", ("WWW-Authenticate", 'Basic realm="optuna-dashboard"'))
        return application(environ, start_response)

    return answer


class _ThreadingServer(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a line for each request fills disks."""


def main() -> None:
    """Serve until ended."""
    from optuna.storages import RDBStorage
    from optuna_dashboard import wsgi

    port = int(os.environ[_PORT])
    storage = RDBStorage(os.environ[_URL], engine_kwargs={"pool_pre_ping": True})
    application = guarded(wsgi(storage), port, os.environ[_CREDENTIALS])
    make_server(
        HOST, port, application, server_class=_ThreadingServer, handler_class=_QuietHandler
    ).serve_forever()


if __name__ == "__main__":
    main()
