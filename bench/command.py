"""Runs one benchmark, or all of them, and prints their tables."""

import importlib
import os
import sys
from collections.abc import Sequence

from search.errors import (
    EXIT_FAILED,
    EXIT_INPUT,
    EXIT_INTERRUPTED,
    EXIT_OK,
    InputError,
    OperationFailed,
    printable,
)

BENCHMARKS = {
    "step": "bench.speed.step",
    "start": "bench.speed.start",
    "efficiency": "bench.speed.search_efficiency",
    "stack": "bench.speed.stack",
    "driver": "bench.speed.driver",
    "commands": "bench.speed.commands",
    "frechet": "bench.speed.frechet",
}
ON_A_GPU = {"slices": "bench.speed.slices"}  # run by name only
BY_NAME = {"gpu": "bench.speed.gpu"}  # likewise; also without one, at sizes that show only that it runs
# They take long and read arguments of their own. A smaller scale is part of all.
WITH_ARGUMENTS = {
    "scale": "bench.speed.scale",
    "transfer": "bench.transfer.command",
    "why": "bench.why.command",
    "time-left": "bench.quality.time_left",
}
_USAGE = (
    f"usage: python -m bench [{'|'.join([*BENCHMARKS, *ON_A_GPU, *BY_NAME])}|scale [OPTIONS]|transfer [OPTIONS]|"
    "why [OPTIONS]|time-left [FILE ...]]\n"
)


def main(arguments: Sequence[str]) -> int:
    """Exit code. What cannot be used and what fails for a known reason is one line.

    `stock FILE` is what the efficiency benchmark starts as a process of its own.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as in a worker with one CPU; read when torch is imported
    try:
        return _run(arguments)
    except (InputError, OperationFailed) as error:
        sys.stderr.writelines(f"error: {printable(str(line))}\n" for line in error.args)
        return EXIT_INPUT if isinstance(error, InputError) else EXIT_FAILED
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: what was not printed yet is lost\n")
        return EXIT_INTERRUPTED


def _run(arguments: Sequence[str]) -> int:
    verb = arguments[0] if arguments else None
    if verb in WITH_ARGUMENTS:
        code: int = importlib.import_module(WITH_ARGUMENTS[verb]).main(arguments[1:])
        return code
    if verb == "stock" and len(arguments) == 2:
        from bench.speed.search_efficiency import stock_main

        stock_main(arguments[1])
        return EXIT_OK
    if {"-h", "--help"} & set(arguments):
        sys.stdout.write(_USAGE)
        return EXIT_OK
    known = BENCHMARKS | ON_A_GPU | BY_NAME
    if len(arguments) > 1 or not set(arguments) <= set(known):
        sys.stderr.write(_USAGE)
        return EXIT_INPUT
    if verb in ON_A_GPU:
        problem = importlib.import_module(known[verb]).missing()
        if problem is not None:
            raise OperationFailed(problem)
    from bench.figures import heading

    _show(heading())
    for name in arguments or BENCHMARKS:
        _show("")
        importlib.import_module(known[name]).main(_show)
    if not arguments:
        from bench.speed import scale

        _show("")
        scale.measure(_show, scale.FEWER)
    return EXIT_OK


def _show(text: str) -> None:
    print(text, flush=True)
