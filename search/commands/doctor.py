"""Checks whether this machine can run a search, and says what to do where it cannot.

examples:
  python -m search doctor                          versions, CPU, GPU, disk, limits, a rehearsal (half a minute)
  python -m search doctor searches/digits.yaml     what that search needs too: slots, data, databases, storage
  python -m search doctor --quick                  only look, start nothing

The rehearsal is a search of two short trials in a temporary folder: Ray, its workers, the databases and MLflow are
started as for every search.
Each line is ok, warn or fail. Exit code 1 if any is fail.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from search.checks.check import Check, text_of
from search.errors import EXIT_FAILED, EXIT_OK, UsageError

HELP = "is this machine ready? versions, CPU and GPU slices, Ray, databases, MLflow, disk"

_ADDRESS = "http://127.0.0.1:8265"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", metavar="FILE", help="search file whose needs are checked too")
    parser.add_argument("--quick", action="store_true", help="leave out the rehearsal")
    parser.add_argument("--cluster", action="store_true", help="look at a cluster instead, from here")
    parser.add_argument("--address", metavar="URL", help=f"of its dashboard ({_ADDRESS})")
    parser.add_argument(
        "--head",
        action="store_true",
        help="what --cluster asks of the head, as JSON; exit code 0. With FILE: what `submit` asks, whether all nodes "
        "can use its storage; exit code 2 if not",
    )


def run(args: argparse.Namespace) -> int:
    if args.head:
        print(json.dumps(_answer_of_head(args.file)))
        return 0
    if args.address is not None and not args.cluster:
        raise UsageError("--address would have no effect without --cluster. Give both, or neither")
    if args.cluster and (args.file is not None or args.quick):
        raise UsageError("--cluster looks at a cluster, not at this machine: leave out FILE and --quick")
    return _report(_findings(args), args.json)


def _findings(args: argparse.Namespace) -> Iterator[Check]:
    if args.cluster:
        from search.checks import cluster

        return cluster.findings(args.address or _ADDRESS)
    from search.checks import here

    spec = None
    if args.file is not None:
        from search.running.kept import spec_at

        spec = spec_at(Path(args.file))
    return here.findings(spec, quick=args.quick)


def _answer_of_head(file: str | None) -> dict[str, Any]:
    from search.checks import head

    if file is None:
        return {"versions": head.versions(), "checks": [asdict(check) for check in head.findings()]}
    from search.file.spec import load_spec

    return {"storage": head.check_storage_of(load_spec(file))}


def _report(found: Iterator[Check], as_json: bool) -> int:
    """Show the checks as they come; the exit code."""
    checks = []
    for check in found:
        checks.append(check)
        if not as_json:
            print(text_of(check), flush=True)
    failed = sum(check.level == "fail" for check in checks)
    warned = sum(check.level == "warn" for check in checks)
    code = EXIT_FAILED if failed else EXIT_OK
    if as_json:
        answer = {"ok": not failed, "exit_code": code, "checks": [asdict(check) for check in checks]}
        print(json.dumps(answer, indent=2))
    else:
        print(f"{len(checks)} checks: {failed} failed, {warned} with a warning")
    return code
