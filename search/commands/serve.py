"""Keeps the services of a cluster's head running: databases, MLflow, and Optuna's dashboard where it is installed.

examples:
  python -m search serve                                   until Ctrl-C
  python -m search serve --detach --storage /mnt/runs      in the background, as cluster.yaml starts it
  python -m search serve --stop                            end it, with all that it started

The study and MLflow keep their data in PostgreSQL, one schema each, if SCHEDULE_SEARCH_DATABASE_URL names a database
(postgresql+psycopg://USER:PASSWORD@HOST/DATABASE), or the file `database-url` (mode 600) in the state folder does;
else in SQLite files in the state folder, ~/.schedule-search (SCHEDULE_SEARCH_HOME moves it).

All servers listen on 127.0.0.1 only and ask for a user name and a password, which `service.json` in the state folder
holds (mode 600). A server that is killed or hangs is started again. Their output is in the state folder, in *.log.
"""

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.cluster.head.start import RunningService

HELP = "keep the services of a cluster's head running: databases, MLflow"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from search.cluster.head.server import DASHBOARD_PORT, MLFLOW_PORT

    parser.add_argument(
        "--storage",
        metavar="DIR",
        help="where searches keep checkpoints and MLflow keeps files: a folder that all machines share, or a bucket "
        "(s3://...). Default: where they were; at first runs/ in the state folder",
    )
    parser.add_argument("--port", type=int, default=MLFLOW_PORT, help=f"MLflow's port ({MLFLOW_PORT})")
    parser.add_argument(
        "--dashboard-port",
        type=int,
        default=DASHBOARD_PORT,
        help=f"port of Optuna's dashboard ({DASHBOARD_PORT})",
    )
    parser.add_argument(
        "--detach", action="store_true", help="return when all servers answer, and keep them running"
    )
    parser.add_argument("--stop", action="store_true", help="end the services of this machine")
    parser.add_argument(
        "--allow-root",
        action="store_true",
        help="run as root all the same, where a container has no other user: whoever gets past MLflow's password "
        "then writes files as root",
    )


def run(args: argparse.Namespace) -> int:
    if args.stop:
        ended = _stop()
        _show(args, {"stopped": ended}, "The services are stopped." if ended else "No service runs here.")
        return 0
    running = _start(args)
    if running is not None:
        _show(args, running.to_dict(), "\n".join(running.lines()))
    return 0


def _stop() -> bool:
    """End all servers of this machine; whether there was any."""
    from search.cluster.head import processes
    from search.cluster.head.supervisor_lock import stop
    from search.machine.state_folder import make_home

    folder = make_home()
    return stop(folder) | processes.end(f"{folder}:")  # what a supervisor that was killed had left


def _start(args: argparse.Namespace) -> "RunningService | None":
    """The services that run now; None where they ran in the foreground and have ended."""
    from search.cluster.head.preparation import ServeOptions
    from search.cluster.head.start import in_background, in_foreground

    options = ServeOptions(
        storage=args.storage,
        mlflow_port=args.port,
        dashboard_port=args.dashboard_port,
        allow_root=args.allow_root,
    )
    if args.detach:
        return in_background(options)
    return in_foreground(options, lambda lines: _show(args, {"started": True}, "\n".join(lines)))


def _show(args: argparse.Namespace, result: dict[str, Any], text: str) -> None:
    sys.stdout.write((json.dumps(result) if args.json else text) + "\n")
    sys.stdout.flush()
