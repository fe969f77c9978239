"""Stops a search cleanly, as Ctrl-C does where it runs; `resume` goes on with it.

examples:
  python -m search stop digits
  python -m search stop digits --address http://127.0.0.1:8265

Its trials go on from their last checkpoints, with the same numbers. What is lost are the steps since then; a
checkpoint is made as often as costs 1 % of the time.
"""

import argparse
import json
import shlex
import signal
from typing import Any

from search.commands import _cluster
from search.commands._options import add_cluster, add_name, add_storage

HELP = "stop a search cleanly; it can go on"
ONLY_LOOKS = True

_NOT_RUNNING = "is not running"
_MOST_SECONDS = 60.0  # it takes a few; MLflow that does not answer adds some


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_name(parser)
    add_storage(parser)
    add_cluster(parser)


def run(args: argparse.Namespace) -> int:
    found = _here(args) if args.address is None else _there(args)
    if args.json:
        print(json.dumps(found, indent=2, allow_nan=False))
        return 0
    name, trials = found["name"], found.get("trials")
    if found["state"] == "finished":
        print(f"Search {name} has finished before it could be stopped.")
        return 0
    counted = f" {trials['ended']} trials have ended, {trials['open']} wait to go on." if trials else ""
    print(f"Search {name} is stopped.{counted} Go on with:")
    where = f" --address {args.address.rstrip('/')}" if args.address else ""
    if args.address is None and args.storage is not None:
        where = f" --storage {shlex.quote(args.storage)}"
    print(f"  python -m search resume {name}{where}")
    return 0


def _here(args: argparse.Namespace) -> dict[str, Any]:
    from search.errors import OperationFailed
    from search.machine.driver import driver_of
    from search.running.search import Search

    search = Search.open(args.name, args.storage)
    with driver_of(search.folder) as driver:
        if driver is None:
            raise OperationFailed(f"search {search.name!r} is not running. See: {search.command('status')}")
        driver.send(signal.SIGINT)
        if not driver.wait(_MOST_SECONDS):
            raise OperationFailed(
                f"search {search.name!r} was told to stop, but process {driver.pid} has not ended in "
                f"{_MOST_SECONDS:.0f} s. Tell it again to end it at once; its checkpoints are whole"
            )
    return Search.kept_in(search.folder).status()


def _there(args: argparse.Namespace) -> dict[str, Any]:
    from search.cluster.jobs import JobsApi
    from search.cluster.remote import ask, end_of, runs_of
    from search.errors import InputError, OperationFailed

    api = JobsApi(args.address)
    name = _cluster.name_of_search(args.name)
    runs = runs_of(api.jobs()).get(name, [])
    found: dict[str, Any] = {"name": name, "state": "stopped"}
    try:
        found = json.loads(ask(api, ["stop", name, *_cluster.storage_option(args), "--json"]))
    except (InputError, OperationFailed) as error:
        # A driver that was told and takes its time must not be told twice: that would end it at once.
        no_driver = isinstance(error, InputError) or _NOT_RUNNING in str(error)
        if not no_driver or not runs or api.job(runs[-1].id).is_over:
            raise
        api.stop(runs[-1].id)  # its job is there, its driver was not yet
    if runs:
        end_of(api, runs[-1].id, _MOST_SECONDS)
    return found
