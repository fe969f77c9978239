"""What the verbs that run a search share."""

import argparse
import json
import logging
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.file.spec import SearchSpec
    from search.run.runner import Outcome


def carry_out(spec: "SearchSpec", args: argparse.Namespace) -> int:
    """Run the search or go on with it, show its end. args: `json`, `output` and `address` are used."""
    from rich.console import Console

    from search.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK
    from search.machine.interruption import Interruption
    from search.machine.search_folders import make_root
    from search.run.plan_of import objective_of
    from search.run.result import document_of
    from search.run.runner import run_search
    from search.run.session import LOG_FILE
    from search.screen.view import ProgressView
    from search.winner.document import write_export

    if args.output:
        _check_output(Path(args.output))
    make_root(spec.storage.path)
    _log_to(spec.folder / LOG_FILE)
    interrupted = Interruption()
    interrupted.install()
    # With --json, stdout is the result's.
    console = Console(stderr=args.json, highlight=False)
    with ProgressView(spec.name, objective_of(spec), spec.training.total_steps, console=console) as view:
        outcome = run_search(spec, interrupted=interrupted, view=view, address=args.address)
    result = outcome.result
    problem, output = _problem(outcome, args.output), None
    if args.output and result.finished and problem is None:
        output = args.output
        write_export(Path(output), document_of(spec, result.board, outcome.header))
    code = EXIT_INTERRUPTED if not result.finished else EXIT_OK if problem is None else EXIT_FAILED
    if args.json:
        plain = {
            "name": spec.name,
            "finished": result.finished,
            "already_finished": outcome.already_finished,
            "output": output,
            "leaderboard": result.to_dict(),
        }
        if problem is not None:
            plain |= {"error": problem, "exit_code": code}
        print(json.dumps(plain, indent=2, allow_nan=False))
    else:
        _show(outcome, problem, output)
    if outcome.left:
        sys.stderr.write(f"warning: {outcome.left}\n")
    if problem is not None:
        sys.stdout.flush()
        sys.stderr.write(f"error: {problem}\n")
    return code


def _check_output(path: Path) -> None:
    """InputError for a file that cannot be written: told now, not when the search is over."""
    from search.errors import InputError

    try:
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        if path.is_dir():
            why = "is a folder"
        elif not folder.is_dir():
            why = f"would be in {folder}, which is no folder"
        elif not os.access(folder, os.W_OK | os.X_OK):
            why = f"would be in {folder}, where your user may not write"
        else:
            return
    except OSError as error:
        why = f"cannot be looked at: {error.strerror}"
    raise InputError(f"`--output` must be a file that can be written, but {path} {why}")


def _problem(outcome: "Outcome", output: str | None) -> str | None:
    """Why a finished search did not do what it was run for, in one line."""
    no_winner = outcome.result.no_winner
    if no_winner is None or not (no_winner.failed or output):
        return None
    return f"{no_winner.message}. {output} was not written" if output else no_winner.message


def carry_out_amended(spec: "SearchSpec", changes: Mapping[str, Any], args: argparse.Namespace) -> int:
    """Change how much of an existing search is done, and go on with it."""
    from search.file.spec import overridden
    from search.run.session import amend, only_driver, open_store
    from search.study.lock import only_driver_of

    amended = overridden(spec, changes)
    store = open_store(spec)
    held = only_driver_of(store, spec.study_url_resolved, spec.name, threading.Event())
    with only_driver(spec.folder), held:
        amend(amended, store)
    return carry_out(amended, args)


def _show(outcome: "Outcome", problem: str | None, output: str | None) -> None:
    """problem: is said elsewhere."""
    from search.machine.checkout import is_shipped
    from search.run.result import command
    from search.run.session import SPEC_FILE

    result = outcome.result
    spec = result.spec
    if not result.finished:
        print(f"\nStopped; everything is kept in {spec.folder}. Go on with:")
        again = command(spec, "resume") if is_shipped() else f"python -m search run {spec.folder / SPEC_FILE}"
        print(f"  {again}")
        return
    if outcome.already_finished:
        print(f"Search {spec.name} is finished already: nothing was run and nothing changed.")
    print("\n".join(["", *result.table()]))
    if problem is None:
        print(f"\n{result.conclusion}")
    if result.no_winner is None:
        print(f"Written: {output}" if output else f"Write it with: {command(spec, 'export')}")
    if not is_shipped():
        print(f"Look at it with: {command(spec, 'ui')}")


def dry_run(spec: "SearchSpec", args: argparse.Namespace) -> int:
    """Print the resolved search and its cost. args: `json` and `address` are used."""
    from search.run.cost import cost_of

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

    from search.machine.search_folders import usable

    with usable(path.parent):
        handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
