"""How searches stand, here or on a cluster: for the verbs that show it."""

import argparse
import json
from typing import Any

from search.commands import _cluster


def statuses(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Of the search `args.name`, or of all. args: `name`, `storage` and `address` are used."""
    return _here(args) if args.address is None else _there(args)


def _here(args: argparse.Namespace) -> list[dict[str, Any]]:
    from search.running.known import known_searches
    from search.running.search import Search
    from search.running.statuses import statuses_of

    if args.name is None:
        return statuses_of(known_searches(args.storage))
    return [Search.kept_in(Search.open(args.name, args.storage).folder).status()]


def _there(args: argparse.Namespace) -> list[dict[str, Any]]:
    from search.cluster.jobs import JobsApi
    from search.cluster.remote import ask, runs_of
    from search.errors import InputError
    from search.running.statuses import with_jobs

    api = JobsApi(args.address)
    command = ["status", *_cluster.storage_option(args), "--json"]
    if args.name is None:
        found = json.loads(ask(api, command))["searches"]
        return with_jobs(found, {name: runs[-1] for name, runs in runs_of(api.jobs()).items()})
    name = _cluster.name_of_search(args.name)
    runs = runs_of(api.jobs()).get(name, [])
    try:
        found = [json.loads(ask(api, [*command, name]))]
    except InputError:
        if not runs:
            raise
        found = []  # a job that has not come to be a search, or not yet
    return with_jobs(found, {name: runs[-1]} if runs else {})
