"""Serves searches in MLflow on this machine and prints the addresses of their leaderboards.

examples:
  python -m search ui
  python -m search ui digits --port 5001

A leaderboard shows the trials by ascending objective; each has its curves, its schedule, the density of its
noise levels and a grid of samples (under "Artifacts"). It may be opened while the search runs. The server
listens on 127.0.0.1 only; from elsewhere forward the same port: ssh -L 5000:127.0.0.1:5000 HOST.
Ctrl-C ends it.
"""

import argparse
import json
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from search.commands._options import add_storage

if TYPE_CHECKING:
    from search.running.search import Search

HELP = "look at a search in MLflow, in the browser"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", nargs="?", help="name of a search, or its search file (all searches kept with the newest one)"
    )
    add_storage(parser)
    parser.add_argument("--port", type=int, help="port on 127.0.0.1 (5000, else a free one)")


def run(args: argparse.Namespace) -> int:
    from search.machine.mlflow_options import HOST, free_port
    from search.running.tracked import projection_of
    from search.tracking.client import is_http

    searches = _searches(args.name, args.storage)
    uri = searches[0].spec.mlflow_uri_resolved
    port = None if is_http(uri) else free_port(args.port)
    base = uri.rstrip("/") if port is None else f"http://{HOST}:{port}"
    urls = {search.name: base + projection_of(search).save_view() for search in searches}
    text = json.dumps({"leaderboards": urls}) if args.json else "\n".join(map(": ".join, urls.items()))
    if port is None:  # a server that runs already
        _show(text)
        return 0
    return _serve(uri, searches[0].folder, port, text)


def _searches(name: str | None, storage: str | None) -> "list[Search]":
    """The search called so, or all that can be read, the newest first, and are kept in the MLflow of the first."""
    from search.errors import InputError, OperationFailed
    from search.machine.search_folders import DEFAULT_STORAGE, local_root
    from search.running.known import SPEC_FILE
    from search.running.search import Search

    root = local_root(storage or DEFAULT_STORAGE)
    kept = sorted(root.glob(f"*/{SPEC_FILE}"), key=lambda path: -path.stat().st_mtime)
    wanted = [name] if name else [path.parent.name for path in kept]
    if not wanted:
        raise InputError(
            f"there is no search in {storage or DEFAULT_STORAGE}/. Run: python -m search run FILE"
        )
    found: list[Search] = []
    for each in wanted:
        try:
            search = Search.open(each, storage)
            if not found or search.spec.mlflow_uri_resolved == found[0].spec.mlflow_uri_resolved:
                search.check_started()
                found.append(search)
        except (InputError, OperationFailed) as error:
            if len(wanted) == 1:
                raise
            first = str(error).partition("\n")[0]
            sys.stderr.write(f"warning: {each} is left out: {first}\n")
    if not found:
        raise InputError(f"no search in {storage or DEFAULT_STORAGE}/ can be read")
    return found


def _serve(uri: str, folder: Path, port: int, text: str) -> int:
    """Run an MLflow server until Ctrl-C, with its log in `folder`; show `text` when it answers."""
    from search.tracking.client import artifact_root
    from search.tracking.server import mlflow_server

    artifacts, log = artifact_root(uri, folder), folder / "mlflow-server.log"
    assert artifacts is not None
    signal.signal(signal.SIGTERM, _stop)
    try:
        with mlflow_server(uri, artifacts, port, log) as server:
            _show(text)
            server.wait()
    except KeyboardInterrupt:
        return 0
    sys.stderr.write(f"error: the MLflow server has ended. See {log}\n")
    return 1


def _stop(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _show(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
