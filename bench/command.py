"""Runs one benchmark, or all of them, and prints their tables."""

import importlib
import os
import sys
from collections.abc import Sequence

BENCHMARKS = {
    "step": "bench.speed.step",
    "efficiency": "bench.speed.search_efficiency",
    "stack": "bench.speed.stack",
    "driver": "bench.speed.driver",
    "commands": "bench.speed.commands",
    "frechet": "bench.speed.frechet",
    "scale": "bench.speed.scale",
}
ON_A_GPU = {"slices": "bench.speed.slices"}  # run by name only
BY_NAME = {"gpu": "bench.speed.gpu"}  # likewise; also without one, at sizes that show only that it runs


def main(arguments: Sequence[str]) -> int:
    """Exit code. `transfer`, `why` and `time-left [FILE ...]` take long and are no part of all; of `scale [NUMBER]` a
    smaller one is.

    `stock FILE` is what the efficiency benchmark starts as a process of its own.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as in a worker with one CPU; read when torch is imported
    if arguments[:1] == ["stock"]:
        from bench.speed.search_efficiency import stock_main

        stock_main(arguments[1])
        return 0
    if arguments[:1] == ["scale"] and len(arguments) <= 2 and all(map(str.isdecimal, arguments[1:])):
        from bench.figures import heading
        from bench.speed import scale

        print(heading(), flush=True)
        scale.main(
            lambda text: print(text, flush=True), int(arguments[1]) if arguments[1:] else scale.NUM_TRIALS
        )
        return 0
    if arguments[:1] == ["transfer"]:
        from bench.transfer.command import main as transfer

        return transfer(arguments[1:])
    if arguments[:1] == ["why"]:
        from bench.why.command import main as why

        return why(arguments[1:])
    if arguments[:1] == ["time-left"]:
        from bench.figures import heading
        from bench.quality import time_left

        print(heading(), flush=True)
        time_left.main(arguments[1:], lambda text: print(text, flush=True))
        return 0
    known = BENCHMARKS | ON_A_GPU | BY_NAME
    if len(arguments) > 1 or not set(arguments) <= set(known):
        alone = "|".join(name for name in known if name != "scale")
        sys.stderr.write(
            f"usage: python -m bench [{alone}|scale [NUMBER]|transfer [OPTIONS]|why [OPTIONS]|"
            "time-left [FILE ...]]\n"
        )
        return 2
    if set(arguments) & set(ON_A_GPU):
        problem = importlib.import_module(known[arguments[0]]).missing()
        if problem is not None:
            sys.stderr.write(f"{problem}\n")
            return 1
    from bench.figures import heading

    print(heading(), flush=True)
    for name in arguments or BENCHMARKS:
        print(flush=True)
        importlib.import_module(known[name]).main(lambda text: print(text, flush=True))
    return 0
