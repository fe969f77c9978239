"""Runs a search, or goes on with it: the same command does both.

examples:
  python -m search run searches/digits.yaml
  python -m search run searches/digits.yaml --trials 8 --output best_schedule.json
  python -m search run searches/digits.yaml --dry-run
  python -m search run searches/fashion_mnist.yaml --address auto

A search is known by the `name` in its file. If it was interrupted, or its machine went down, its unfinished
trials go on from their last checkpoints. If it is finished, nothing is changed: `extend` and `confirm` do more of it.
Ctrl-C stops it in seconds; what is lost are the steps since the last checkpoint, which is made as often as costs
1 % of the time.
"""

import argparse
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.spec import SearchSpec

HELP = "run a search, or go on with it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="search file, or the name of a search that was started before")
    parser.add_argument("--trials", type=int, metavar="N", help="overrides budget.max_trials")
    parser.add_argument("--storage", metavar="DIR", help="overrides storage.path")
    parser.add_argument("--output", metavar="FILE", help="also write the winner here, as `export` does")
    add_address(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="print the resolved search and its cost, and exit"
    )


def add_address(parser: argparse.ArgumentParser) -> None:
    """For every verb that runs trials."""
    parser.add_argument(
        "--address", metavar="RAY", help="run the trials on this Ray cluster; auto: the one of this machine"
    )


def run(args: argparse.Namespace) -> int:
    # Imported here, as everywhere below: they take seconds that `--help` should not.
    from search.session import find_spec
    from search.spec import overridden

    given = {"budget.max_trials": args.trials, "storage.path": args.storage}
    spec = overridden(
        find_spec(args.file, args.storage or "runs"),
        {field: value for field, value in given.items() if value is not None},
    )
    return dry_run(spec, args) if args.dry_run else carry_out(spec, args)


def carry_out(spec: "SearchSpec", args: argparse.Namespace) -> int:
    """Run the search or go on with it, show its end. args: `json`, `output` and `address` are used."""
    from rich.console import Console

    from search.errors import EXIT_INTERRUPTED, EXIT_OK
    from search.export import write_export
    from search.progress import ProgressView
    from search.runner import run_search
    from search.session import LOG_FILE, document_of, objective_of

    _log_to(spec.folder / LOG_FILE)
    interrupted = threading.Event()
    _stop_on_ctrl_c(interrupted)
    # With --json, stdout is the result's.
    console = Console(stderr=args.json, highlight=False)
    with ProgressView(spec.name, objective_of(spec), spec.training.total_steps, console=console) as view:
        outcome = run_search(spec, interrupted=interrupted, view=view, address=args.address)
    board = outcome.leaderboard
    document: dict[str, Any] | None = None
    if outcome.finished and board.winner is not None and args.output:
        document = document_of(spec, board, outcome.header)
        write_export(Path(args.output), document)
    if args.json:
        result = {
            "name": spec.name,
            "finished": outcome.finished,
            "already_finished": outcome.already_finished,
            "output": args.output if document else None,
            "leaderboard": board.to_dict(),
        }
        print(json.dumps(result, indent=2, allow_nan=False))
    else:
        _show(spec, outcome, args.output if document else None)
    if outcome.left:
        sys.stderr.write(f"warning: {outcome.left}\n")
    return EXIT_OK if outcome.finished else EXIT_INTERRUPTED


def carry_out_amended(spec: "SearchSpec", changes: Mapping[str, Any], args: argparse.Namespace) -> int:
    """Change how much of an existing search is done, and go on with it."""
    from search.session import amend, only_driver, open_store
    from search.spec import overridden

    amended = overridden(spec, changes)
    store = open_store(spec)
    with only_driver(spec.folder):
        amend(amended, store)
    return carry_out(amended, args)


def _show(spec: "SearchSpec", outcome: Any, output: str | None) -> None:
    from search.leaderboard import evidence_lines, lines

    if outcome.already_finished:
        print(f"Search {spec.name} is finished already: nothing was run and nothing changed.\n")
    if not outcome.finished:
        print(f"\nStopped; everything is kept in {spec.folder}. Go on with:")
        print(f"  python -m search run {spec.folder / 'search.yaml'}")
        return
    board = outcome.leaderboard
    print("\n".join(["", *lines(board), "", *evidence_lines(board), "", board.sentence()]))
    print(f"Written: {output}" if output else f"Write it with: python -m search export {spec.name}")
    print(f"Look at it with: python -m search ui {spec.name}")


def dry_run(spec: "SearchSpec", args: argparse.Namespace) -> int:
    """Print the resolved search and its cost. args: `json` and `address` are used."""
    from search.cost import cost_of

    cost = cost_of(spec, elsewhere=args.address is not None)
    if args.json:
        print(json.dumps({"search": spec.resolved(), "cost": cost.to_dict()}, indent=2))
    else:
        print(spec.to_yaml())
        print("\n".join(f"# {line}" for line in cost.lines()))
    return 0


def _log_to(path: Path) -> None:
    """All that libraries have to say goes into one file; the screen is the progress view's."""
    import optuna

    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()


def _stop_on_ctrl_c(interrupted: threading.Event) -> None:
    """First Ctrl-C or SIGTERM: stop cleanly. Second: end at once; the trials' checkpoints are whole anyway."""

    def handler(signum: int, frame: FrameType | None) -> None:
        if interrupted.is_set():
            os._exit(128 + signum)
        interrupted.set()

    signal.signal(signal.SIGINT, handler)
    signal.signal(signal.SIGTERM, handler)
