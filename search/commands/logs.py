"""What a search on a cluster prints: its progress, line by line, and its leaderboard at the end.

examples:
  python -m search logs digits --address http://127.0.0.1:8265
  python -m search logs digits -f --address http://127.0.0.1:8265

Of the latest run, where a search was stopped and resumed. Ctrl-C ends the looking, not the search.
"""

import argparse
import json
import sys

from search.commands import _cluster
from search.commands._options import add_cluster, add_name

HELP = "what a search on a cluster prints"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_name(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the search ends")
    add_cluster(parser, required=True)


def run(args: argparse.Namespace) -> int:
    from search.cluster.jobs import JobsApi
    from search.cluster.remote import latest_run
    from search.errors import UsageError

    if args.follow and args.json:
        raise UsageError("--follow has no effect with --json: leave one out")
    api = JobsApi(args.address)
    name = _cluster.name_of_search(args.name)
    job = latest_run(api, name)
    if args.follow:
        try:
            _cluster.show_log(api, job.id)
        except KeyboardInterrupt:
            print(file=sys.stderr)
        return 0
    lines = _cluster.OwnLines()
    log = lines.of(api.log(job.id)) + lines.rest()
    if args.json:
        print(json.dumps({"name": name, "job": job.id, "status": job.status, "log": log}))
    else:
        sys.stdout.write(log)
    return 0
