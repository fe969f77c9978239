"""Runs one benchmark, or all of them, and prints their tables."""

import importlib
import os
import sys
from collections.abc import Sequence

BENCHMARKS = {"step": "bench.step", "efficiency": "bench.search_efficiency", "driver": "bench.driver"}


def main(arguments: Sequence[str]) -> int:
    """Exit code. `stock FILE` is what the efficiency benchmark starts as a process of its own."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as in a worker with one CPU; read when torch is imported
    if arguments[:1] == ["stock"]:
        from bench.search_efficiency import stock_main

        stock_main(arguments[1])
        return 0
    if len(arguments) > 1 or not set(arguments) <= set(BENCHMARKS):
        sys.stderr.write(f"usage: python -m bench [{'|'.join(BENCHMARKS)}]\n")
        return 2
    from bench.figures import heading

    print(heading(), flush=True)
    for name in arguments or BENCHMARKS:
        print(flush=True)
        importlib.import_module(BENCHMARKS[name]).main(lambda text: print(text, flush=True))
    return 0
