"""What a search on a cluster prints: its progress, line by line, and its leaderboard at the end; or what a script does.

examples:
  python -m search logs digits --address http://127.0.0.1:8265
  python -m search logs digits -f --address http://127.0.0.1:8265
  python -m search logs mine --trial 7                      the output of the script that trained trial 7

Of the latest run, where a search was stopped and resumed. Ctrl-C ends the looking, not the search.
"""

import argparse
import json
import sys

from search.commands import _cluster
from search.commands._options import add_cluster, add_name, add_storage
from search.errors import InputError, UsageError
from trainable.task import OUTPUT_FILE

HELP = "what a search on a cluster prints, or the script of a trial"
ONLY_LOOKS = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_name(parser)
    add_storage(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the search ends")
    parser.add_argument("--trial", type=int, metavar="N", help="the output of this trial's script")
    add_cluster(parser)


def run(args: argparse.Namespace) -> int:
    if args.trial is not None:
        return _of_trial(args)
    if args.address is None:
        raise UsageError(
            "say whose: --trial N for a script of this machine, --address URL for a search on a cluster"
        )
    return _of_search(args)


def _of_trial(args: argparse.Namespace) -> int:
    """Show what the script of a trial has printed."""
    if args.follow:
        raise UsageError("--follow has no effect with --trial: leave one out")
    if args.address is not None:
        from search.cluster.jobs import JobsApi
        from search.cluster.remote import ask

        words = ["logs", _cluster.name_of_search(args.name), *_cluster.given(args, "trial")]
        words += [*_cluster.storage_option(args), *(["--json"] if args.json else [])]
        sys.stdout.write(ask(JobsApi(args.address), words))
        return 0
    from search.running.search import Search

    search = Search.open(args.name, args.storage)
    log = (
        search.trial_storage.folder(args.trial).read(OUTPUT_FILE) if search.spec.script is not None else None
    )
    if log is None:
        raise InputError(f"search {search.name!r} has no output of a script of trial {args.trial}")
    text = log.decode("utf-8", "replace")
    if args.json:
        print(json.dumps({"name": search.name, "trial": args.trial, "log": text}))
    else:
        sys.stdout.write(text)
    return 0


def _of_search(args: argparse.Namespace) -> int:
    """Show what the latest run on a cluster has printed."""
    from search.cluster.jobs import JobsApi
    from search.cluster.remote import latest_run

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
