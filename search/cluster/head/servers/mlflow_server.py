"""The MLflow server: on loopback, for those who have the password, with its databases told by environment.

Run as a module it is the server's first process: it gives MLflow's administrator the password of this head, also
where the database has one from an earlier head, and becomes `mlflow server`.
"""

import importlib.util
import os
import secrets
import sys

from search.cluster.head.server import HeadSettings, Server
from search.errors import OperationFailed
from search.machine.mlflow_options import HOST, server_environment
from search.machine.sqlite_url import for_mlflow
from search.machine.state_folder import write_private

# The dashboard's user may do all, everybody else nothing until told otherwise. Checking a password takes 0.1 s of CPU;
# one web process remembers it for a minute and forgets it when the password changes.
_AUTH = """\
[mlflow]
default_permission = NO_PERMISSIONS
database_uri = {database}
admin_username = {username}
grant_default_workspace_access = false
auth_cache_ttl_seconds = 60
"""


def server(settings: HeadSettings) -> Server:
    """MLflow with basic authentication. OperationFailed where the extra `cluster` is not installed."""
    if importlib.util.find_spec("flask_wtf") is None:
        raise OperationFailed(
            "MLflow needs Flask-WTF for passwords. Run: pip install -c constraints.txt '.[cluster]'"
        )
    config = settings.folder / "mlflow-auth.ini"
    write_private(
        config,
        _AUTH.format(database=for_mlflow(settings.auth_url).replace("%", "%%"), username=settings.username),
    )
    url = f"http://{HOST}:{settings.mlflow_port}"
    environment = server_environment(settings.mlflow_url, settings.artifacts, settings.mlflow_port) | {
        "MLFLOW_UVICORN_OPTS": "--no-access-log",  # the supervisor alone asks 40,000 times a day
        "MLFLOW_AUTH_CONFIG_PATH": str(config),
        "MLFLOW_AUTH_ADMIN_USERNAME": settings.username,
        "MLFLOW_AUTH_ADMIN_PASSWORD": settings.password,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32),
    }
    command = (sys.executable, "-m", "search.cluster.head.servers.mlflow_server")
    return Server(
        name="mlflow", command=command, environment=environment, url=url, health_url=f"{url}/health"
    )


def main() -> None:
    """Set the administrator's password, then serve."""
    from mlflow.cli import cli
    from mlflow.server.auth import bootstrap_admin_user, store

    name, password = os.environ["MLFLOW_AUTH_ADMIN_USERNAME"], os.environ["MLFLOW_AUTH_ADMIN_PASSWORD"]
    bootstrap_admin_user()
    if not store.authenticate_user(name, password, use_primary=True):
        store.update_user(name, password=password)
    cli(["server", "--app-name", "basic-auth"], prog_name="mlflow")


if __name__ == "__main__":
    main()
