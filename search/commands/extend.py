"""Goes on with a search beyond its budget: more trials, more hours.

examples:
  python -m search extend digits --trials 20
  python -m search extend digits --hours 2

What was found stays. The algorithm proposes from all trials so far; then the best are confirmed again, with the
replicates that are there already.
"""

import argparse

from search.commands.run import add_address, carry_out_amended

HELP = "go on with a search: more trials or more time"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of a search, or its search file")
    parser.add_argument("--trials", type=int, metavar="N", help="so many more than budget.max_trials")
    parser.add_argument("--hours", type=float, metavar="H", help="so many more than budget.max_hours")
    parser.add_argument("--storage", metavar="DIR", default="runs", help="where searches are kept (runs)")
    parser.add_argument("--output", metavar="FILE", help="also write the winner here, as `export` does")
    add_address(parser)


def run(args: argparse.Namespace) -> int:
    from search.errors import InputError
    from search.session import find_spec

    spec = find_spec(args.name, args.storage)
    changes: dict[str, float | int] = {}
    for option, field in (("trials", "max_trials"), ("hours", "max_hours")):
        more = getattr(args, option)
        if more is None:
            continue
        if not more > 0:
            raise InputError(f"`--{option} > 0` must hold, but got {more}")
        before = getattr(spec.budget, field)
        if before is None:
            raise InputError(
                f"`--{option}` would have no effect: search {spec.name!r} has no budget.{field}. Leave it out"
            )
        changes[f"budget.{field}"] = before + more
    if not changes:
        raise InputError("say how much more: --trials N or --hours H")
    return carry_out_amended(spec, changes, args)
