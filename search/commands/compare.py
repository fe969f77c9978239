"""Compares literature presets under one budget: each is trained on the same seeds, nothing is searched.

examples:
  python -m search compare searches/digits.yaml --presets all --seeds 3
  python -m search compare searches/fashion_mnist.yaml --presets ict,ict_short,hang_gu_laplace --seeds 8

Data, network, training and objective are those of the search file. The comparison is a search of its own, called
after it with "-compare", that can be interrupted, gone on with and looked at like any other.
"""

import argparse

from search.commands.run import add_address

HELP = "train literature presets on the same seeds and compare them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="search file")
    parser.add_argument("--presets", metavar="LIST", default="all", help="names with commas between, or all")
    parser.add_argument(
        "--seeds", type=int, metavar="N", default=3, help="training seeds for each (%(default)s)"
    )
    parser.add_argument("--name", help="of the comparison; default: the search's with -compare")
    parser.add_argument("--storage", metavar="DIR", help="overrides storage.path")
    parser.add_argument("--output", metavar="FILE", help="also write the best preset here, as `export` does")
    parser.add_argument(
        "--dry-run", action="store_true", help="print the resolved search and its cost, and exit"
    )
    add_address(parser)


def run(args: argparse.Namespace) -> int:
    from search.commands.run import carry_out, dry_run
    from search.errors import InputError
    from search.session import find_spec
    from search.spec import Budget, Confirm, NoiseFloor, overridden
    from spaces import PRESETS

    if not args.seeds >= 3:
        raise InputError(f"`--seeds >= 3` must hold, but got {args.seeds}: fewer tell nothing")
    spec = find_spec(args.file, args.storage or "runs")
    presets = list(PRESETS) if args.presets == "all" else args.presets.split(",")
    changes: dict[str, object] = {
        "name": args.name or f"{spec.name}-compare",
        "presets": presets,
        "budget": Budget(max_trials=len(presets)),
        # The preset's own trial is its first seed.
        "confirm": Confirm(top=0, baselines=len(presets), rounds=[args.seeds - 1]),
        "noise_floor": NoiseFloor(seeds=0),
        "audit": 0.0,
    }
    if args.storage is not None:
        changes["storage.path"] = args.storage
    comparison = overridden(spec, changes)
    return dry_run(comparison, args) if args.dry_run else carry_out(comparison, args)
