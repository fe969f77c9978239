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
from types import FrameType
from typing import TYPE_CHECKING

from search.commands._options import add_storage

if TYPE_CHECKING:
    from search.file.spec import SearchSpec
    from search.study.store import StudyStore

HELP = "look at a search in MLflow, in the browser"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", nargs="?", help="name of a search, or its search file (all searches kept with the newest one)"
    )
    add_storage(parser)
    parser.add_argument("--port", type=int, help="port on 127.0.0.1 (5000, else a free one)")


def run(args: argparse.Namespace) -> int:
    from search.errors import InputError
    from search.machine.mlflow_options import HOST, free_port
    from search.machine.search_folders import local_root
    from search.run.session import SPEC_FILE, find_spec, open_store
    from search.run.tracked import projection_of
    from search.tracking.client import artifact_root, is_http
    from search.tracking.server import mlflow_server

    kept = sorted(local_root(args.storage).glob(f"*/{SPEC_FILE}"), key=lambda path: -path.stat().st_mtime)
    wanted = [args.name] if args.name else [path.parent.name for path in kept]
    if not wanted:
        raise InputError(f"there is no search in {args.storage}/. Run: python -m search run FILE")
    specs: list[SearchSpec] = []
    stores: dict[str, StudyStore] = {}
    for name in wanted:
        try:
            spec = find_spec(name, args.storage)
            if not specs or spec.mlflow_uri_resolved == specs[0].mlflow_uri_resolved:
                stores[spec.name] = open_store(spec)
                specs.append(spec)
        except InputError as error:
            if len(wanted) == 1:
                raise
            first = str(error).partition("\n")[0]
            sys.stderr.write(f"warning: {name} is left out: {first}\n")
    if not specs:
        raise InputError(f"no search in {args.storage}/ can be read")
    uri = specs[0].mlflow_uri_resolved
    port = None if is_http(uri) else free_port(args.port)
    base = uri.rstrip("/") if port is None else f"http://{HOST}:{port}"
    urls = {spec.name: base + projection_of(spec, stores[spec.name]).save_view() for spec in specs}
    if port is None:  # a server that runs already
        _show(args, urls)
        return 0

    artifacts, log = artifact_root(uri, specs[0].folder), specs[0].folder / "mlflow-server.log"
    assert artifacts is not None
    signal.signal(signal.SIGTERM, _stop)
    try:
        with mlflow_server(uri, artifacts, port, log) as server:
            _show(args, urls)
            server.wait()
    except KeyboardInterrupt:
        return 0
    sys.stderr.write(f"error: the MLflow server has ended. See {log}\n")
    return 1


def _stop(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _show(args: argparse.Namespace, urls: dict[str, str]) -> None:
    lines = (
        [json.dumps({"leaderboards": urls})]
        if args.json
        else [f"{name}: {url}" for name, url in urls.items()]
    )
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
