"""Runs a search on a cluster: hands it over and returns; it goes on when this machine is switched off.

examples:
  python -m search submit searches/fashion_mnist.yaml --address http://127.0.0.1:8265
  python -m search submit searches/fashion_mnist.yaml --address http://127.0.0.1:8265 --wait
  python -m search submit searches/fashion_mnist.yaml --address http://127.0.0.1:8265 --dry-run

The address is that of the cluster's dashboard; `ray dashboard CLUSTER.yaml` brings it to this machine. The token is
looked for as Ray does: RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH, ~/.ray/auth_token. The search file is checked here, and
its storage by the head and all nodes that are up: what cannot be used is not submitted. The file and the code of this
checkout are sent (no data, no results, no .git), with networks and plugins of your own and, where a script trains, its
folder: data and weights must be on the head, at absolute paths. Where the file leaves out storage.path, study_url or
mlflow_uri, the service of the cluster's head fills them in. The address of --notify is sent in a file, since a cluster
shows the command lines of its jobs.
"""

import argparse

from search.commands import _cluster
from search.commands._options import (
    add_cluster,
    add_dry_run,
    add_notify,
    add_trials,
    add_wait,
    notify_of,
)

HELP = "run a search on a cluster, without this machine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="search file")
    add_cluster(parser, required=True)
    add_trials(parser)
    add_wait(parser)
    add_notify(parser)
    add_dry_run(parser)


def run(args: argparse.Namespace) -> int:
    from search.cluster.jobs import JobsApi
    from search.cluster.remote import ask, next_run
    from search.cluster.storage_defaults import check_outlasts
    from search.commands._running import dry_run
    from search.file.shipped_paths import check_paths_absolute
    from search.file.spec import load_spec, overridden
    from search.running.own_code import files_to_ship

    notify_of(args)  # refused before anything is sent
    api = JobsApi(args.address)
    spec = load_spec(args.file)
    check_paths_absolute(args.file)
    if "path" in spec.storage.model_fields_set:
        check_outlasts(spec)
    if args.trials is not None:
        spec = overridden(spec, {"budget.max_trials": args.trials})
    if args.dry_run:
        code = dry_run(spec, on_cluster=True, as_json=args.json, driven_here=False)
        if not args.json:
            print("# storage: what the file leaves out, the service of the cluster's head fills in")
        return code
    shipped = f"searches/{spec.name}.yaml"
    files = files_to_ship(args.file, spec, shipped)
    next_run(api, spec.name)
    # A job that fails later, for want of storage for its trials, fails where nobody looks.
    ask(api, ["doctor", shipped, "--head"], files)
    arguments = ["run", shipped, *_cluster.given(args, "trials")]
    return _cluster.submit(args, api, spec.name, arguments, files)
