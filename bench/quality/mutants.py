"""Would a test notice? One operator or number at a time is changed in a copy of the checkout, and its tests are run.

    python -m bench.quality.mutants [MODULE ...] [--sample N] [--seed S] [--jobs N]

Without MODULE all of `TESTS`. A mutant that no test notices has survived: its line says more than the tests hold it to.
The working tree is never touched.
"""

import argparse
import ast
import contextlib
import importlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection, get_context, process
from pathlib import Path

from bench.arguments import whole_number
from bench.figures import table

ROOT = Path(__file__).resolve().parents[2]
# Files of the product -> the tests that hold them.
TESTS = {
    "search/evidence/race.py": ("race",),
    "search/evidence/intervals.py": ("leaderboard",),
    "search/evidence/audit.py": ("audit",),
    "search/evidence/noise.py": ("race", "leaderboard"),
    "search/evidence/confirmation.py": ("leaderboard",),
    "search/evidence/holding.py": ("holding",),
    "search/evidence/measures.py": ("measures",),
    "search/stopping_rule.py": ("stopping",),
    "search/stopping/*.py": ("stopping",),
    "search/policy/*.py": ("policy_parts", "equal_schedules", "trials", "conductor", "holding"),
    "search/policy/equal_schedules.py": ("equal_schedules",),
}
WITHOUT_DECISIONS = {"search/policy/plan.py", "search/policy/__init__.py", "search/stopping/__init__.py"}
# Imported once, by the process that all test runs are forked from: they take seconds.
LIBRARIES = ("torch", "scipy.stats", "optuna", "pydantic", "sqlalchemy", "pytest")

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt},
    **{ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is},
    **{ast.In: ast.NotIn, ast.NotIn: ast.In},
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult},
}
FUNCTIONS = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Mutant:
    """A file with one change. path: from the root. line: where, 1 is the first. shown: the changed line."""

    path: str
    line: int
    shown: str
    before: str
    after: str


# What may be wrong


def changes(node: ast.AST) -> Iterator[str]:
    """The expression or assignment with one thing changed that is its own, not that of a part of it."""
    match node:
        case ast.AugAssign(target, operator, value) if type(operator) in OPERATORS:
            yield ast.unparse(ast.AugAssign(target, OPERATORS[type(operator)](), value))
        case ast.Compare(left, comparisons, sides):
            for i, comparison in enumerate(comparisons):
                changed = [*comparisons[:i], COMPARISONS[type(comparison)](), *comparisons[i + 1 :]]
                yield ast.unparse(ast.Compare(left, changed, sides))
        case ast.BinOp(left, operator, right) if type(operator) in OPERATORS:
            yield ast.unparse(ast.BinOp(left, OPERATORS[type(operator)](), right))
        case ast.BoolOp(connective, values):
            other = ast.Or() if isinstance(connective, ast.And) else ast.And()
            yield f"({ast.unparse(ast.BoolOp(other, values))})"
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            yield f"({ast.unparse(operand)})"
        case ast.Constant(bool()):
            return
        case ast.Constant(int() | float() as number):
            yield f"({number + 1})"
            yield f"({number - 1})"
        case ast.Call(ast.Name(name), _, _) if name in FUNCTIONS:
            yield ast.unparse(ast.Call(ast.Name(FUNCTIONS[name]), node.args, node.keywords))


def behaviour(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all below it, but for texts, annotations, decorators and assertions."""
    yield node
    for name, value in ast.iter_fields(node):
        if name not in ("annotation", "returns", "decorator_list"):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not isinstance(child, ast.JoinedStr | ast.Assert):
                    yield from behaviour(child)


def mutants(path: str, source: str) -> Iterator[Mutant]:
    """All mutants of a file: one changed operator or number, or a function that returns at its beginning."""
    lines = source.splitlines(keepends=True)

    def between(start: tuple[int, int], end: tuple[int, int], text: str) -> Mutant:
        """The file with `text` between two places: (line, offset in bytes)."""
        head = lines[start[0] - 1].encode()[: start[1]].decode()
        tail = lines[end[0] - 1].encode()[end[1] :].decode()
        changed = [*lines[: start[0] - 1], head + text + tail, *lines[end[0] :]]
        shown = "; ".join(line.strip() for line in (head + text + tail).splitlines())
        return Mutant(path, start[0], shown, source, "".join(changed))

    for node in behaviour(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            first = next((each for each in node.body if not _is_text(each)), None)
            if first is not None:
                here = (first.lineno, first.col_offset)
                yield between(here, here, f"return None\n{' ' * first.col_offset}")
        elif isinstance(node, ast.expr | ast.AugAssign):
            start, end = (node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)
            for text in changes(node):
                yield between(start, end, text)


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


# Whether it is noticed


def copy_checkout(to: Path) -> Path:
    """A copy of the files that git knows or would take, as they are in the working tree."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    return to


def _run_tests(checkout: Path, tests: Sequence[str], changed: bool) -> None:
    """In a process of its own: ends with pytest's exit code, 0 if all passed."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    os.chdir(checkout)
    # A change that keeps the size and the second of a file would not be seen in bytecode.
    sys.dont_write_bytecode = changed
    sys.path[:] = [str(checkout), *(place for place in sys.path if place not in ("", str(ROOT)))]
    for name in [name for name in sys.modules if name.partition(".")[0] == "bench"]:
        del sys.modules[name]
    pytest = importlib.import_module("pytest")
    os._exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests]))


def started(checkout: Path, tests: Sequence[str], *, changed: bool) -> process.BaseProcess:
    """A test run in a copy of this process, which has imported the libraries. changed: whether a file was."""
    run = get_context("fork").Process(target=_run_tests, args=(checkout, tests, changed))
    run.start()
    return run


def noticed(
    found: Sequence[Mutant], checkouts: Sequence[Path], tests: Sequence[str], limit: float
) -> Iterator[tuple[Mutant, bool]]:
    """(mutant, whether a test failed or took longer than `limit` seconds) for each, one at a time in a checkout."""
    waiting, free = list(reversed(found)), list(checkouts)
    running: dict[int, tuple[process.BaseProcess, Mutant, Path, float]] = {}
    while waiting or running:
        while waiting and free:
            mutant, checkout = waiting.pop(), free.pop()
            (checkout / mutant.path).write_text(mutant.after)
            run = started(checkout, tests, changed=True)
            running[run.sentinel] = (run, mutant, checkout, time.monotonic() + limit)
        connection.wait(list(running), timeout=1)
        for sentinel, (run, mutant, checkout, deadline) in list(running.items()):
            if run.is_alive() and time.monotonic() < deadline:
                continue
            run.kill()
            run.join()
            del running[sentinel]
            (checkout / mutant.path).write_text(mutant.before)
            free.append(checkout)
            yield mutant, run.exitcode != 0


def seconds_unchanged(tests: Sequence[str], checkouts: Sequence[Path]) -> float:
    """How long the tests take, in all checkouts at once. SystemExit if one fails."""
    began = time.monotonic()
    plain = [started(checkout, tests, changed=False) for checkout in checkouts]
    for run in plain:
        run.join()
    if any(run.exitcode for run in plain):
        sys.exit(f"{' '.join(tests)} must pass before anything is changed, but fails: see pytest")
    return time.monotonic() - began


def survey(
    path: str,
    tests: Sequence[str],
    checkouts: Sequence[Path],
    choose: Callable[[list[Mutant]], list[Mutant]],
    limit: float,
) -> tuple[int, int]:
    """(killed, tried) of one file; each mutant is shown once it is known. limit: seconds that the tests may take."""
    found = choose(list(mutants(path, (checkouts[0] / path).read_text())))
    counts: Counter[bool] = Counter()
    for mutant, is_killed in noticed(found, checkouts, tests, limit):
        counts[is_killed] += 1
        print(f"{'killed' if is_killed else 'SURVIVED':<9} {path}:{mutant.line}  {mutant.shown}", flush=True)
    return counts[True], counts.total()


def chosen(modules: Sequence[str]) -> dict[str, Sequence[str]]:
    """Path -> names of its tests, of these modules; without any, of all. ValueError for one that is not in TESTS."""
    known = {
        path.relative_to(ROOT).as_posix(): names
        for pattern, names in TESTS.items()
        for path in sorted(ROOT.glob(pattern))
    }
    known = {path: names for path, names in known.items() if path not in WITHOUT_DECISIONS}
    wanted = [f"{module.replace('.', '/')}.py" for module in modules] or list(known)
    for path in wanted:
        if path not in known:
            raise ValueError(f"{path} has no tests in bench/quality/mutants.py; known: {', '.join(known)}")
    return {path: known[path] for path in wanted}


def main() -> int:
    """Exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.quality.mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="for instance search.evidence.race")
    parser.add_argument(
        "--sample", type=whole_number, metavar="N", help="of each module at most N mutants, drawn by the seed"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=whole_number, default=2, help="test runs at a time")
    args = parser.parse_args()

    def choose(found: list[Mutant]) -> list[Mutant]:
        if args.sample is None or args.sample >= len(found):
            return found
        drawn = random.Random(args.seed).sample(range(len(found)), args.sample)
        return [found[index] for index in sorted(drawn)]

    try:
        files = chosen(args.modules)
    except ValueError as error:
        parser.error(str(error))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for library in LIBRARIES:
        importlib.import_module(library)
    with contextlib.ExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(args.jobs)]
        checkouts = [copy_checkout(folder) for folder in folders]
        rows, limits = [], dict[Sequence[str], float]()
        for path, names in files.items():
            tests = [f"tests/search/test_{name}.py" for name in names]
            if names not in limits:
                limits[names] = 30 + 2 * seconds_unchanged(tests, checkouts)
            killed, tried = survey(path, tests, checkouts, choose, limits[names])
            rows.append([path, str(killed), str(tried), f"{100 * killed / tried:.0f} %" if tried else "-"])
    print(table(["", "killed", "of", "share"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
