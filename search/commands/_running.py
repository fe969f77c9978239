"""What the verbs that run a search share."""

import argparse
import json
import logging
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from search.commands._options import notify_of
from search.errors import EXIT_FAILED, EXIT_OK
from search.machine.output import check_file

if TYPE_CHECKING:
    from rich.console import Console

    from search.file.spec import SearchSpec
    from search.running.outcome import Outcome
    from search.running.search import Search


_STATES = {"finished": "is finished", "stopped": "is stopped", "failed": "has failed"}


@dataclass(frozen=True)
class RunOptions:
    """How a search is run, whatever the search. address: of the Ray that runs the trials, None: one of our own.

    output: where the winner is written besides, None: nowhere. as_json: the end is told as JSON on stdout. notify: the
    web address that is told of the end, None: none.
    """

    address: str | None
    output: Path | None
    as_json: bool
    notify: str | None = None

    @classmethod
    def of(cls, args: argparse.Namespace) -> Self:
        """As the command line has them. InputError for an output that cannot be written, and for no address."""
        output = Path(args.output) if args.output is not None else None
        if output is not None:
            check_file(output)
        return cls(args.address, output, args.json, notify_of(args))


def carry_out(search: "Search", options: RunOptions) -> int:
    """Run the search or go on with it, show its end, tell it where that is wanted; returns the exit code."""
    if options.notify is None:
        return _carried_out(search, options).exit_code
    try:
        end = _carried_out(search, options)
    except BaseException as error:
        state = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
        _notify(search, options.notify, state, str(error).partition("\n")[0] or type(error).__name__)
        raise
    result = end.outcome.result
    state = "stopped" if not result.finished else "finished" if end.problem is None else "failed"
    told = end.problem or (result.conclusion if result.finished else "go on with `resume`")
    _notify(search, options.notify, state, told)
    return end.exit_code


def _notify(search: "Search", url: str, state: str, told: str) -> None:
    """Tell the address; that it cannot be told is one line, and nothing else changes."""
    from search.machine.notice import posted

    content = {"text": f"Search {search.name} {_STATES[state]}: {told}", "name": search.name, "state": state}
    problem = posted(url, {**content, "conclusion": told, "folder": str(search.folder)})
    if problem is not None:
        line = f"how the search ended could not be told: {problem}"
        logging.getLogger(__name__).warning(line)
        sys.stderr.write(f"warning: {line}\n")


def _carried_out(search: "Search", options: RunOptions) -> "_End":
    from search.machine.search_folders import make_root
    from search.running.known import LOG_FILE
    from search.running.places import check_places
    from search.screen.console import ReadConsole

    check_places(search.spec)
    make_root(search.spec.storage.path)
    log_to(search.folder / LOG_FILE)
    # With --json, stdout is the result's.
    outcome = _run(search, options.address, ReadConsole(stderr=options.as_json, highlight=False))
    end = _end_of(search, outcome, options.output)
    if options.as_json:
        print(json.dumps(end.to_dict(), indent=2, allow_nan=False))
    else:
        print("\n".join(end.lines()))
    sys.stdout.flush()
    sys.stderr.write("".join(f"{line}\n" for line in end.complaints()))
    return end


def _run(search: "Search", address: str | None, console: "Console") -> "Outcome":
    """Run it until it is finished, or Ctrl-C."""
    from search.machine.interruption import Interruption
    from search.running.runner import run_search
    from search.screen.view import ProgressView

    interrupted = Interruption()
    interrupted.install()
    with ProgressView(
        search.name, search.objective, search.spec.training.total_steps, console=console
    ) as view:
        return run_search(search, interrupted=interrupted, view=view, address=address)


def _end_of(search: "Search", outcome: "Outcome", output: Path | None) -> "_End":
    """Judge the outcome, and write the winner where it is wanted and there is one."""
    from search.winner.document import write_export

    result, problem, written = outcome.result, None, None
    no_winner = result.no_winner
    if no_winner is not None and (no_winner.failed or output is not None):
        problem = no_winner.message
        if output is not None:
            problem += f". {output} was not written"
    elif output is not None and result.finished:
        write_export(output, search.document(result.board))
        written = output
    return _End(search, outcome, problem, written)


@dataclass(frozen=True)
class _End:
    """How a run ended, for the user. problem: why a finished search did not do what it was run for, in one line.

    written: where the winner is.
    """

    search: "Search"
    outcome: "Outcome"
    problem: str | None
    written: Path | None

    @property
    def exit_code(self) -> int:
        if not self.outcome.result.finished:
            return self.outcome.stop_code
        return EXIT_OK if self.problem is None else EXIT_FAILED

    def to_dict(self) -> dict[str, Any]:
        plain = {
            "name": self.search.name,
            "finished": self.outcome.result.finished,
            "exit_code": self.exit_code,
            "already_finished": self.outcome.already_finished,
            "output": None if self.written is None else str(self.written),
            "leaderboard": self.outcome.result.to_dict(),
        }
        return plain if self.problem is None else plain | {"error": self.problem}

    def lines(self) -> list[str]:
        """For stdout. The problem is said elsewhere."""
        return self._what_was_found() if self.outcome.result.finished else self._how_to_go_on()

    def complaints(self) -> list[str]:
        """For stderr."""
        left, problem = self.outcome.left, self.problem
        return [
            *([f"warning: {left}"] if left is not None else []),
            *([f"error: {problem}"] if problem is not None else []),
        ]

    def _how_to_go_on(self) -> list[str]:
        from search.machine.checkout import is_shipped
        from search.running.known import SPEC_FILE

        file = self.search.folder / SPEC_FILE
        again = (
            self.search.command("resume")
            if is_shipped()
            else f"python -m search run {shlex.quote(str(file))}"
        )
        return [
            "",
            f"The search is stopped; everything is kept in {self.search.folder}. Go on with:",
            f"  {again}",
        ]

    def _what_was_found(self) -> list[str]:
        from search.machine.checkout import is_shipped
        from search.running.known import PAGE_FILE

        result, lines = self.outcome.result, []
        if self.outcome.already_finished:
            lines += [f"Search {self.search.name} is finished already: nothing was run and nothing changed."]
        lines += ["", *result.table()]
        if self.problem is None:
            lines += ["", result.conclusion]
        if self.written is not None:
            lines += [f"Written: {self.written}"]
        elif result.no_winner is None:
            lines += [f"Write the winner with: {self.search.command('export')}"]
        page = self.search.folder / PAGE_FILE
        if not is_shipped() and page.exists():
            lines += [f"Open its page in a browser: {page}"]
        if not is_shipped():
            lines += [f"Look at it with: {self.search.command('ui')}"]
        return lines


def dry_run(spec: "SearchSpec", *, on_cluster: bool, as_json: bool, driven_here: bool = True) -> int:
    """Print the resolved search, its cost, and which of its presets may fail elsewhere.

    on_cluster: where its trials are to run. driven_here: this machine is to keep its files; they are tried.
    """
    from search.running.cost import cost_of
    from search.running.places import check_places
    from search.running.plan_of import thin_presets

    if driven_here:
        check_places(spec)
    cost, thin = cost_of(spec, on_cluster=on_cluster), thin_presets(spec)
    if as_json:
        print(json.dumps({"search": spec.resolved(), "cost": cost.to_dict(), "warnings": thin}, indent=2))
    else:
        print(spec.to_yaml())
        print("\n".join(f"# {line}" for line in (*cost.lines(), *thin)))
    return EXIT_OK


def log_to(path: Path) -> None:
    """All that libraries have to say goes into one file; the screen is the progress view's."""
    import optuna

    from search.machine.log_file import LINE, LogFile
    from search.machine.search_folders import usable

    with usable(path.parent):
        handler = LogFile(path, LINE)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
