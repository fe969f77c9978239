"""Confirms more schedules of a search, or the same on more fresh seeds.

examples:
  python -m search confirm digits --top 8
  python -m search confirm digits --seeds 16

Every search confirms its winner by itself, as its file says; this is for later. Replicates that are there
already are used; a race in rounds gives more seeds only to those that may still be the best.
"""

import argparse

from search.commands.run import add_address, carry_out_amended

HELP = "confirm more schedules of a search, or on more seeds"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of a search, or its search file")
    parser.add_argument("--top", type=int, metavar="K", help="how many of the best trials")
    parser.add_argument("--seeds", type=int, metavar="N", help="fresh seeds for those that stay in the race")
    parser.add_argument("--storage", metavar="DIR", default="runs", help="where searches are kept (runs)")
    parser.add_argument("--output", metavar="FILE", help="also write the winner here, as `export` does")
    add_address(parser)


def run(args: argparse.Namespace) -> int:
    from search.session import find_spec

    spec = find_spec(args.name, args.storage)
    changes: dict[str, int | list[int]] = {}
    if args.top is not None:
        changes["confirm.top"] = args.top
    if args.seeds is not None:
        changes["confirm.rounds"] = [size for size in spec.confirm.rounds if size < args.seeds] + [args.seeds]
    return carry_out_amended(spec, changes, args)
