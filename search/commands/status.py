"""How searches stand: state, trials, best value, cost so far.

examples:
  python -m search status
  python -m search status digits
  python -m search status --address http://127.0.0.1:8265

A slot-hour is an hour in which a trial held its slice of a machine (`resources` in the search file); GPU-hours are
those of GPUs, shares counted as shares. "stopped" goes on with `resume`. "starting" and "failed" are known of a
cluster only, from its list of jobs. Values are those of one seed; `leaderboard` says what they are worth.
"""

import argparse
import json
from typing import Any

from search.commands._options import add_cluster, add_storage, latest
from search.commands._statuses import statuses
from search.machine.search_folders import DEFAULT_STORAGE

HELP = "how searches stand, here or on a cluster"
ONLY_LOOKS = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name",
        nargs="?",
        help="name of a search, or its search file (default: all in a table, then the latest)",
    )
    add_storage(parser)
    add_cluster(parser)


def run(args: argparse.Namespace) -> int:
    from search.screen.status_text import details, table

    found = statuses(args)
    if args.json:
        print(json.dumps(found[0] if args.name else {"searches": found}, indent=2, allow_nan=False))
    elif args.name:
        print("\n".join(details(found[0])))
    elif found:
        print("\n".join(table(found) if args.address is not None else _with_latest(found, args.storage)))
    else:
        where = args.address or f"{args.storage or DEFAULT_STORAGE}/"
        print(f"There is no search in {where}.")
    return 0


def _with_latest(found: list[dict[str, Any]], storage: str | None) -> list[str]:
    """The searches of this machine in a table, if they are several, then all of the latest."""
    from search.screen.status_text import details, table

    by_name = {status["name"]: status for status in found}
    lines = details(by_name[latest(storage)])
    return lines if len(found) == 1 else [*table(found), "", *lines]
