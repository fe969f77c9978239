"""Goes on with a search beyond its budget: more trials, more hours.

examples:
  python -m search extend digits --trials 20
  python -m search extend digits --hours 2

What was found stays. The algorithm proposes from all trials so far; then the best are confirmed again, with the
replicates that are there already.
"""

import argparse

from search.commands import _cluster
from search.commands._options import add_going_on, add_name
from search.commands._running import RunOptions, carry_out

HELP = "go on with a search: more trials or more time"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_name(parser)
    parser.add_argument("--trials", type=int, metavar="N", help="so many more than budget.max_trials")
    parser.add_argument("--hours", type=float, metavar="H", help="so many more than budget.max_hours")
    add_going_on(parser)


def run(args: argparse.Namespace) -> int:
    from search.errors import InputError
    from search.machine.urls import is_jobs_address
    from search.running.search import Search

    for option in ("trials", "hours"):
        more = getattr(args, option)
        if more is not None and not more > 0:
            raise InputError(f"`--{option} > 0` must hold, but got {more}")
    if args.trials is None and args.hours is None:
        raise InputError("say how much more: --trials N or --hours H")
    if is_jobs_address(args.address):
        return _cluster.resubmit(args, "extend", _cluster.given(args, "trials", "hours"))
    _cluster.refuse_wait(args)
    options = RunOptions.of(args)
    search = Search.open(args.name, args.storage)
    changes: dict[str, float | int] = {}
    for option, field in (("trials", "max_trials"), ("hours", "max_hours")):
        more = getattr(args, option)
        if more is None:
            continue
        before = getattr(search.spec.budget, field)
        if before is None:
            raise InputError(
                f"`--{option}` would have no effect: search {search.name!r} has no budget.{field}. Leave it out"
            )
        changes[f"budget.{field}"] = before + more
    return carry_out(search.amended(changes), options)
