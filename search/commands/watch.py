"""Watches a search from any terminal, as it goes on, until it ends or nobody runs it.

examples:
  python -m search watch
  python -m search watch digits
  python -m search watch digits --address http://127.0.0.1:8265

What is shown is what `status` reads, with the time that is left as the driver foretells it: a range while that is not
known. On a terminal in place, elsewhere anew whenever something has changed; with --json an object on a line each time.
Ctrl-C ends the looking, not the search.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from search.commands._options import add_cluster, add_name_or_latest, add_storage, named
from search.commands._statuses import statuses
from search.errors import InputError, OperationFailed, UsageError

HELP = "the live view of a running search, from any terminal"
ONLY_LOOKS = True

_GOES_ON = ("running", "starting")
_SECONDS, _SECONDS_OF_A_CLUSTER = 2.0, 20.0  # each look at a cluster is a job there
_MOST_FAILED = 5  # looks in a row

Status = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_name_or_latest(parser)
    add_storage(parser)
    add_cluster(parser)
    parser.add_argument(
        "--every",
        type=float,
        metavar="SECONDS",
        help=f"between two looks (default: {_SECONDS:g}, on a cluster {_SECONDS_OF_A_CLUSTER:g})",
    )


def run(args: argparse.Namespace) -> int:
    every = _SECONDS if args.address is None else _SECONDS_OF_A_CLUSTER
    if args.every is not None:
        every = args.every
    if not 0.1 <= every <= 3600:
        raise UsageError(f"`0.1 <= --every <= 3600` must hold, but got {every:g}")
    if args.address is None:
        named(args)
    elif args.name is None:
        raise UsageError("name the search: on a cluster there may be many. See: status --address URL")
    seen = looks(lambda: statuses(args)[0], lambda: time.sleep(every))
    try:
        _show(seen, as_json=args.json)
    except KeyboardInterrupt:
        sys.stderr.write("\n")
    return 0


def looks(look: Callable[[], Status], pause: Callable[[], None]) -> Iterator[Status]:
    """How the search stands, again and again while it goes on. pause: between two looks.

    Raises what the first look raises; later ones may fail a few times in a row, as a network does.
    """
    status = look()
    yield status
    failed = 0
    while status["state"] in _GOES_ON:
        pause()
        try:
            status, failed = look(), 0
        except (InputError, OperationFailed):
            failed += 1
            if failed == _MOST_FAILED:
                raise
            continue
        yield status


def _show(seen: Iterator[Status], *, as_json: bool) -> None:
    from search.screen.status_text import details

    if as_json:
        for status in seen:
            print(json.dumps(status, allow_nan=False), flush=True)
    elif sys.stdout.isatty():
        _in_place(seen)
    else:
        before: list[str] = []
        for status in seen:
            now = details(
                {**status, "running_seconds": None, "seconds_left": None}
            )  # not for the clock alone
            if now != before:
                print("\n".join([*([""] if before else []), *details(status)]), flush=True)
            before = now


def _in_place(seen: Iterator[Status]) -> None:
    from rich.live import Live
    from rich.text import Text

    from search.screen.status_text import details

    with Live(auto_refresh=False, vertical_overflow="visible") as live:
        for status in seen:
            live.update(Text("\n".join(details(status))), refresh=True)
