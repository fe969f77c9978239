"""Runs a search, or goes on with it: the same command does both.

examples:
  python -m search run searches/digits.yaml
  python -m search run searches/digits.yaml --trials 8 --output best_schedule.json
  python -m search run searches/digits.yaml --dry-run
  python -m search run searches/fashion_mnist.yaml --address auto
  python -m search run searches/digits.yaml --notify https://hooks.slack.com/services/...

A search is known by the `name` in its file. If it was interrupted, or its machine went down, its unfinished
trials go on from their last checkpoints. If it is finished, nothing is changed: `extend` and `confirm` do more of it.
Ctrl-C stops it in seconds; what is lost are the steps since the last checkpoint, which is made as often as costs
1 % of the time.
"""

import argparse

from search.commands._options import (
    add_dry_run,
    add_file_or_name,
    add_notify,
    add_output,
    add_ray_address,
    add_storage_path,
    add_trials,
)
from search.commands._running import RunOptions, carry_out, dry_run

HELP = "run a search, or go on with it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file_or_name(parser)
    add_trials(parser)
    add_storage_path(parser)
    add_output(parser)
    add_ray_address(parser)
    add_notify(parser)
    add_dry_run(parser)


def run(args: argparse.Namespace) -> int:
    # Imported here, as everywhere below: they take seconds that `--help` should not.
    from search.cluster.storage_defaults import with_service
    from search.errors import UsageError
    from search.file.spec import overridden
    from search.machine.urls import is_jobs_address
    from search.running.search import Search

    if is_jobs_address(args.address):
        raise UsageError(
            f"`run` drives the search from here, and {args.address} takes jobs only. Run: python -m search submit"
        )
    given = {"budget.max_trials": args.trials, "storage.path": args.storage}
    spec = overridden(
        Search.open(args.file, args.storage).spec,
        {field: value for field, value in given.items() if value is not None},
    )
    if args.address is not None:
        spec = with_service(spec)
    options = RunOptions.of(args)
    if args.dry_run:
        return dry_run(spec, on_cluster=args.address is not None, as_json=args.json)
    return carry_out(Search(spec), options)
