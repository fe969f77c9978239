"""Confirms more schedules of a search, or the same on more fresh seeds.

examples:
  python -m search confirm digits --top 8
  python -m search confirm digits --seeds 16

Every search confirms its winner by itself, as its file says; this is for later. Replicates that are there
already are used; a race in rounds gives more seeds only to those that may still be the best. It is done whatever the
budget of time that the search had.
"""

import argparse

from search.commands import _cluster
from search.commands._options import add_going_on, add_name
from search.commands._running import RunOptions, carry_out

HELP = "confirm more schedules of a search, or on more seeds"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_name(parser)
    parser.add_argument("--top", type=int, metavar="K", help="how many of the best trials")
    parser.add_argument("--seeds", type=int, metavar="N", help="fresh seeds for those that stay in the race")
    add_going_on(parser)


def run(args: argparse.Namespace) -> int:
    from search.errors import InputError
    from search.file.spec import Confirm
    from search.machine.urls import is_jobs_address
    from search.running.search import Search

    if args.seeds is not None and not 2 <= args.seeds <= 1000:
        raise InputError(f"`2 <= --seeds <= 1000` must hold, but got {args.seeds}")
    if args.top is not None and not 0 <= args.top <= 100:
        raise InputError(f"`0 <= --top <= 100` must hold, but got {args.top}")
    if is_jobs_address(args.address):
        return _cluster.resubmit(args, "confirm", _cluster.given(args, "top", "seeds"))
    _cluster.refuse_wait(args)
    options = RunOptions.of(args)
    search = Search.open(args.name, args.storage)
    confirm = search.spec.confirm
    # Where the search confirmed nothing, its file says so of the baselines as well.
    changes: dict[str, object] = {} if confirm.rules else {"confirm": Confirm()}
    if args.top is not None:
        changes["confirm.top"] = args.top
    if args.seeds is not None:
        changes["confirm.rounds"] = [size for size in confirm.rounds if size < args.seeds] + [args.seeds]
    return carry_out(search.amended(changes), options)
