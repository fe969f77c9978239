"""Finds the commands, reads the command line, turns what goes wrong into one line and an exit code.

0: done. 1: the search or the operation failed. 2: bad input or usage. 130: Ctrl-C; 143: SIGTERM; 129: its terminal was
closed.
"""

import argparse
import ast
import contextlib
import difflib
import errno
import importlib
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from search.errors import (
    EXIT_FAILED,
    EXIT_INPUT,
    EXIT_INTERRUPTED,
    MOST_LINES,
    InputError,
    OperationFailed,
    UsageError,
    printable,
)
from search.machine import preflight
from search.machine.checkout import PACKAGES, ROOT
from search.machine.surroundings import settle, without_blas_threads
from search.machine.temporary import temporary_root

_COMMANDS = Path(__file__).parent / "commands"

_DESCRIPTION = """\
Searches the noise schedule of a consistency model: which noise levels, how often each,
and how many at which time. The best one, confirmed on fresh seeds, is written as JSON.
"""

_EPILOG = """\
examples:
  python -m search                                     what there is to do next, here
  python -m search run searches/digits.yaml            search on this machine, or go on with it
  python -m search run searches/digits.yaml --dry-run  show the resolved search and its cost
  python -m search leaderboard digits                  who leads, and how sure that is
  python -m search watch digits                        how it goes, from another terminal
  python -m search export digits                       write the winner to best_schedule.json
  python -m search ui                                  look at it all in the browser
  python -m search list noise                          what may stand in a search file
  python -m search doctor                              is this machine ready?
  python -m search submit FILE --address URL           on a cluster; also status, logs, stop, resume

`python -m search VERB --help` explains a verb. Every verb takes --json: the result, or the
error, as JSON on stdout. Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted.
SEARCH_DEBUG=1 shows tracebacks.
"""


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line as UsageError, so that it ends like every other error."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}. See: {self.prog} --help")


class _WholeLine(_Parser):
    """Of the whole command line. What all verbs do is read where it is shown alone."""

    def format_help(self) -> str:
        # argparse would break lines after the longest verbs.
        listed = "\n".join(f"  {name:<12} {line}" for name, line in commands().items())
        self.epilog = f"verbs:\n{listed}\n\n{_EPILOG}"
        return super().format_help()


def verbs() -> dict[str, Path]:
    """Verb -> its file."""
    found = sorted(path for path in _COMMANDS.glob("*.py") if not path.name.startswith("_"))
    return {path.stem.replace("_", "-"): path for path in found}


def commands() -> dict[str, str]:
    """Verb -> its one line of help. Read from the source: importing all commands takes seconds."""
    return {name: _help_in(path.read_bytes()) for name, path in verbs().items()}


@cache
def _help_in(source: bytes) -> str:
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return "(does not import)"
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "HELP" for target in targets):
            value = getattr(node, "value", None)
            if isinstance(value, ast.Constant):
                return str(value.value)
    return ""


def parser_for(verb: str | None) -> argparse.ArgumentParser:
    """The parser of the whole command line; of the verbs it knows `verb` alone, or none."""
    parser = _WholeLine(
        prog="python -m search",
        usage="python -m search VERB ... [--json]",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    known = parser.add_subparsers(
        prog="python -m search", help=argparse.SUPPRESS, dest="verb", parser_class=_Parser
    )
    if verb is not None:
        module = importlib.import_module(f"search.commands.{verb.replace('-', '_')}")
        sub = known.add_parser(
            verb,
            description=(module.__doc__ or "").strip(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(sub)
        with contextlib.suppress(argparse.ArgumentError):  # the command says itself what its JSON is
            sub.add_argument("--json", action="store_true", help="print the result as JSON")
        sub.set_defaults(run=module.run, only_looks=getattr(module, "ONLY_LOOKS", False))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: that of the process); returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in arguments
    settle()
    try:
        in_the_way = preflight.problems()
        if in_the_way:
            return _fail(in_the_way, EXIT_INPUT, as_json)
        return _dispatch(arguments)
    except KeyboardInterrupt:
        message = "interrupted. The same command again goes on where this stopped"
        return _fail([message], EXIT_INTERRUPTED, as_json)
    except BrokenPipeError:
        _drop_output()  # its reader has gone (`... | head`)
        return 141  # 128 + SIGPIPE, as if we had died of it
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            return _unexpected(error, as_json)
        what = f"{error.filename} cannot"
        if error.filename is None:  # our output
            _drop_output()
            what, as_json = "nothing more can", False
        message = f"{what} be written: {error.strerror}. Make room for it, then run the same command again"
        return _fail([message], EXIT_FAILED, as_json)
    except Exception as error:
        if os.environ.get("SEARCH_DEBUG") == "1":
            raise
        if isinstance(error, OperationFailed | InputError):
            code = EXIT_FAILED if isinstance(error, OperationFailed) else EXIT_INPUT
            return _fail([str(line) for line in error.args], code, as_json)
        if isinstance(error, ValueError) and _is_ours(error):
            return _fail([str(error)], EXIT_INPUT, as_json)
        return _unexpected(error, as_json)


def _unexpected(error: Exception, as_json: bool) -> int:
    if os.environ.get("SEARCH_DEBUG") == "1":
        raise error
    where = _write_traceback(error)
    message = " ".join(f"{type(error).__name__}: {error}".split())[:500]
    return _fail([f"{message} (unexpected; traceback in {where})"], EXIT_FAILED, as_json)


def _drop_output() -> None:
    """What is left to be written would fail again when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _dispatch(arguments: list[str]) -> int:
    if not arguments:
        from search.commands import _next

        with without_blas_threads():
            return _next.show()
    verb = next((argument for argument in arguments if not argument.startswith("-")), None)
    known = verbs()
    if verb is not None and verb not in known:
        close = difflib.get_close_matches(verb, known, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise UsageError(f"Unknown verb {verb!r}.{hint} Known: {', '.join(known)}")
    parser = parser_for(verb)
    try:
        args = parser.parse_args(arguments)
    except SystemExit as end:  # --help
        return int(end.code or 0)
    emptied = next((name for name, value in vars(args).items() if _is_emptied(name, value, arguments)), None)
    if emptied is not None:
        raise UsageError(
            f"--{emptied.replace('_', '-')} needs a value, but got --. See: {parser.prog} {verb} --help"
        )
    with without_blas_threads() if args.only_looks else contextlib.nullcontext():
        code = args.run(args)
    sys.stdout.flush()
    return int(code)


def _is_emptied(name: str, value: Any, arguments: Sequence[str]) -> bool:
    """Whether the option was given `--`, which argparse takes away wherever it stands; Python 3.13 keeps it."""
    given = {argument.partition("=")[0] for argument in arguments}
    return value == [] or (value == "--" and f"--{name.replace('_', '-')}" in given)


def _is_ours(error: ValueError) -> bool:
    """Whether our own code raised it: then it speaks to the user, by the rule for ValueErrors here."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    if at is None:
        return False
    path = Path(at.tb_frame.f_code.co_filename).resolve()
    return any(path.is_relative_to(ROOT / package) for package in PACKAGES)


def _fail(problems: Sequence[str], code: int, as_json: bool) -> int:
    """One `error:` line for each problem, the first ones if there are many; with --json all, in an object on stdout."""
    if as_json:
        problem: dict[str, Any] = {"error": "\n".join(problems), "exit_code": code}
        sys.stdout.write(json.dumps(problem) + "\n")
    lines = [printable(problem) for problem in problems] or ["unknown"]
    if len(lines) > MOST_LINES:
        more = len(lines) - MOST_LINES + 1
        lines = [*lines[: MOST_LINES - 1], f"... and {more} more; --json shows them"]
    sys.stderr.write("".join(f"error: {line}\n" for line in lines))
    sys.stderr.flush()
    return code


def _write_traceback(error: BaseException) -> str:
    """Keep the traceback in a file beside the results; returns its path."""
    from search.machine.notice import without_addresses

    text = "".join(traceback.format_exception(error))
    prefix = f"search-error-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-"
    for folder in (Path("runs") / "errors", temporary_root()):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Others may write there too: a new file, of a name that nobody can know before.
            descriptor, path = tempfile.mkstemp(prefix=prefix, suffix=".log", dir=folder)
            with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{' '.join(without_addresses(sys.argv))}\n\n{text}")
            return str(folder / Path(path).name)
        except OSError:
            continue
    return "no file: no folder could be written to. Set SEARCH_DEBUG=1 to see it"
