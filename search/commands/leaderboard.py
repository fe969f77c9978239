"""Shows the leaderboard of a search: confirmed schedules by their mean over fresh seeds, ties, then the rest.

examples:
  python -m search leaderboard digits
  python -m search leaderboard digits --all
  python -m search leaderboard digits --plot leaders.png
  python -m search leaderboard digits --json
  python -m search leaderboard digits --address http://127.0.0.1:8265

Means are geometric and ratios to the best baseline paired by seed; their 95 % intervals, Student's t over training
seeds with variances moderated by the noise of other schedules of their kind, hold together. Schedules that cannot be
told from the best of their group share its rank. What was not confirmed stands below, with the value seen in the
search, which is partly luck. Below the table: the noise between seeds, and what the trials that early stopping
condemned, but an audit let run on, say of the stopping.

Parameters of different families do not compare: --plot draws how densely each schedule trains the noise levels.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from search.commands import _cluster
from search.commands._options import add_cluster, add_name_or_latest, add_storage, named
from search.errors import InputError

if TYPE_CHECKING:
    from search.evidence.row import Row

HELP = "who leads, by how much, and how sure that is"
ONLY_LOOKS = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_name_or_latest(parser)
    add_storage(parser)
    parser.add_argument("--all", action="store_true", help="every trial, not only the first 12")
    add_cluster(parser)
    parser.add_argument("--plot", metavar="FILE", help="a PNG of the schedules' densities over ln sigma")


def run(args: argparse.Namespace) -> int:
    if args.address is not None:
        if args.plot is not None:
            raise InputError("`--plot` needs the search here, not on a cluster: leave out `--address`")
        sys.stdout.write(_there(args))
        return 0
    from search.running.search import Search

    result = Search.open(named(args), args.storage).result()
    limit = len(result.board.rows) if args.all else 12
    if args.plot is not None:
        _plot(result.board.rows[:limit], result.spec.training.total_steps, Path(args.plot))
    if args.json:
        print(json.dumps(result.to_dict(), indent=2, allow_nan=False))
    else:
        print("\n".join([*result.table(limit), "", result.conclusion]))
    return 0


def _there(args: argparse.Namespace) -> str:
    from search.cluster.jobs import JobsApi
    from search.cluster.remote import ask

    flags = [flag for flag, wanted in (("--all", args.all), ("--json", args.json)) if wanted]
    names = _cluster.names_of_search(args.name)
    return ask(JobsApi(args.address), ["leaderboard", *names, *_cluster.storage_option(args), *flags])


def _plot(rows: "Sequence[Row]", total_steps: int, path: Path) -> None:
    from search.machine.output import write_file
    from search.tracking.density import densities_png

    if not rows:
        raise InputError("there is nothing to draw yet: no trial has been started")
    ranked = [(f"{row.rank}  {row.label}" if row.rank else row.label, row.record.schedule) for row in rows]
    write_file(path, densities_png(ranked, total_steps))
