"""Keeps the services of a cluster's head running: databases, MLflow, and Optuna's dashboard where it is installed.

examples:
  python -m search serve                                   until Ctrl-C
  python -m search serve --detach --storage /mnt/runs      in the background, as cluster.yaml starts it
  python -m search serve --stop                            end it, with all that it started

The study and MLflow keep their data in PostgreSQL, one schema each, if SCHEDULE_SEARCH_DATABASE_URL names a database
(postgresql+psycopg://USER:PASSWORD@HOST/DATABASE), or the file `database-url` (mode 600) in the state folder does;
else in SQLite files in the state folder, ~/.schedule-search (SCHEDULE_SEARCH_HOME moves it).

All servers listen on 127.0.0.1 only and ask for a user name and a password, which `service.json` in the state folder
holds (mode 600). A part that is killed or hangs is started again. Their output is in the state folder, in *.log.
"""

import argparse
import json
import sys
from typing import Any

HELP = "keep the services of a cluster's head running: databases, MLflow"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from search.cluster.head.start import DASHBOARD_PORT, MLFLOW_PORT

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
        "--detach", action="store_true", help="return when all parts answer, and keep them running"
    )
    parser.add_argument("--stop", action="store_true", help="end the services of this machine")
    parser.add_argument(
        "--allow-root",
        action="store_true",
        help="run as root all the same, where a container has no other user: whoever gets past MLflow's password "
        "then writes files as root",
    )


def run(args: argparse.Namespace) -> int:
    from search.cluster.head import processes, start
    from search.cluster.head.supervisor_lock import stop
    from search.machine.state_folder import make_home

    if args.stop:
        folder = make_home()
        ended = stop(folder) | processes.end(f"{folder}:")  # what a supervisor that was killed had left
        _show(args, {"stopped": ended}, "Stopped." if ended else "Nothing runs here.")
        return 0
    asked = start.Asked(
        storage=args.storage,
        mlflow_port=args.port,
        dashboard_port=args.dashboard_port,
        allow_root=args.allow_root,
    )
    if args.detach:
        found: start.Running | None = start.in_background(asked)
    else:
        found = start.in_foreground(asked, lambda lines: _show(args, {"started": True}, "\n".join(lines)))
    if found is not None:
        _show(args, found.to_dict(), "\n".join(found.lines()))
    return 0


def _show(args: argparse.Namespace, result: dict[str, Any], text: str) -> None:
    sys.stdout.write((json.dumps(result) if args.json else text) + "\n")
    sys.stdout.flush()
