"""What a large search costs its driver: 10,000 trials that train nothing, through all that a real search uses.

Some minutes to half an hour, so `make bench` has a tenth of it: `python -m bench scale [NUMBER]`. With `--unstopped`
every trial has five results, as in `python -m bench driver`, which is the same for a small search.
"""

import argparse
import logging
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bench.arguments import whole_number
from bench.figures import heading, table
from bench.speed.driver import RUNGS, SLOTS, NoopSearch
from search.engine.ray_here import local_ray
from search.file.spec import load_spec, overridden
from search.machine.sqlite_url import sqlite_url
from search.record import State, TrialRecord
from search.running.plan_of import plan_of
from search.stopping.none import NoStopping
from search.study.store import StudyStore

NUM_TRIALS, FEWER = 10_000, 1_000  # the latter in `make bench`
WINDOW = 250  # proposals whose times make one row
EARLY = 250  # from here on all that a model sees of a study is as much as it ever sees


class _Stopwatch:
    """Times what it wraps."""

    def __init__(self, call: Callable[[], TrialRecord | None]):
        self._call = call
        self.seconds: list[float] = []  # of each trial

    def __call__(self) -> TrialRecord | None:
        began = time.perf_counter()
        record = self._call()
        if record is not None:
            self.seconds.append(time.perf_counter() - began)
        return record


def main(arguments: Sequence[str]) -> int:
    """Measure and show; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench scale", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "number", nargs="?", type=whole_number, default=NUM_TRIALS, help="of trials (%(default)s)"
    )
    parser.add_argument("--unstopped", action="store_true", help="every trial has five results (ASHA stops)")
    parser.add_argument(
        "--stack", type=whole_number, default=1, help="trials that a worker holds (%(default)s)"
    )
    args = parser.parse_args(arguments)
    print(heading(), flush=True)
    measure(lambda text: print(text, flush=True), args.number, unstopped=args.unstopped, stack=args.stack)
    return 0


def measure(show: Callable[[str], None], num_trials: int, *, unstopped: bool = False, stack: int = 1) -> None:
    """Show a row whenever the number of trials has doubled."""
    logging.disable(logging.WARNING)  # Tune complains of switched-off files, a line for each trial
    spec = overridden(load_spec("searches/digits.yaml"), {"budget.max_trials": num_trials})
    plan = replace(plan_of(spec, SLOTS * stack), race=None, holds=None, noise_seeds=0)
    if unstopped:
        plan = replace(plan, stopping=NoStopping(rungs=RUNGS))
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        search = NoopSearch(spec, plan, Path(name) / "search", tracking=True)
        watch = _Stopwatch(search.conductor.next)
        search.conductor.next = watch  # type: ignore[method-assign]
        began = time.perf_counter()
        results, last_result = 0, began

        def on_result() -> None:
            nonlocal results, last_result
            results, last_result = results + 1, time.perf_counter()
            if len(watch.seconds) >= 100 * 2 ** len(rows):
                add_row()

        def add_row() -> None:
            done = len(watch.seconds)
            asked = sorted(watch.seconds[-WINDOW:])
            rows.append(
                [
                    f"{done}",
                    f"{results / (last_result - began):.0f}",
                    f"{1000 * asked[len(asked) // 2]:.0f}",
                    f"{1000 * asked[int(0.99 * len(asked))]:.0f}",
                    f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}",
                    f"{_bytes(search.folder / 'study.db') / 1024 / done:.1f}",
                ]
            )

        with local_ray(num_cpus=SLOTS, num_gpus=0) as ray_folder:
            measured = search.with_ray(ray_folder / "scale", spec.resources.cpu, on_result, stack)
        add_row()
        tracked = _bytes(search.folder / "mlflow.db") / 1024 / num_trials
        began_again = time.perf_counter()
        store = StudyStore.open(sqlite_url(search.folder / "study.db"), spec.name)
        assert store is not None
        records = store.records()
        opened = time.perf_counter() - began_again
        open_trials = sum(record.state is State.RUNNING for record in records)
        reported = sum(len(record.reports) for record in records)
    show(
        f"scale: {num_trials} no-op trials, {SLOTS} workers of {stack}, {type(plan.algorithm).__name__}, "
        f"{type(plan.stopping).__name__}"
    )
    header = ["trials", "results/s", "ask ms", "p99 ms", "driver MB", "study kB/trial"]
    show(table(header, rows))
    flat = late_to_early(watch.seconds)
    if flat is not None:
        show(
            f"ask, 99 %: of the last {WINDOW} trials {flat:.2f} times that of the first after {EARLY}, target <= 1.5"
        )
    show(
        f"in the study: {len(records)} trials, {open_trials} open, {reported} of {results} results; read again in "
        f"{opened:.1f} s; MLflow {tracked:.1f} kB/trial, up to date {measured.behind_seconds:.0f} s after the end"
    )


def late_to_early(seconds: Sequence[float]) -> float | None:
    """The 99 % of the last window to that of the first in a large study; None where these overlap."""
    if len(seconds) < EARLY + 2 * WINDOW:
        return None
    early, late = (
        sorted(part)[int(0.99 * WINDOW)] for part in (seconds[EARLY : EARLY + WINDOW], seconds[-WINDOW:])
    )
    return late / early


def _bytes(path: Path) -> int:
    return sum(part.stat().st_size for part in path.parent.glob(f"{path.name}*"))
