"""Goes on with a search that was stopped, or whose machines were lost, from its checkpoints.

examples:
  python -m search resume digits
  python -m search resume digits --address http://127.0.0.1:8265

Here it is `run` of a search by its name; on a cluster it is submitted again, and this command returns at once.
"""

import argparse

from search.commands import _cluster
from search.commands._options import add_going_on, add_name
from search.commands._running import RunOptions, carry_out

HELP = "go on with a search that was stopped"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_name(parser)
    add_going_on(parser)


def run(args: argparse.Namespace) -> int:
    from search.machine.urls import is_jobs_address
    from search.running.search import Search

    if is_jobs_address(args.address):
        return _cluster.resubmit(args, "run")
    _cluster.refuse_wait(args)
    search = Search.open(args.name, args.storage)
    search.check_started()
    return carry_out(search, RunOptions.of(args))
