"""How long it takes from `python -m search run` to the first training step, data and feature network in the cache."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.figures import Spread, table
from bench.speed.search_efficiency import run_product, search_file

_TRIALS, _STEPS = 2, 100
_REPEATS = 5


def main(show: Callable[[str], None]) -> None:
    """Measure and show. The first time is not counted: files come into memory, the cache is filled."""
    steps, wholes = zip(*[_seconds() for _ in range(_REPEATS + 1)][1:], strict=True)
    show(
        f"start: {_TRIALS} trials of the digits, {_STEPS} steps, {_REPEATS} times; median [smallest, largest]"
    )
    rows = [["to the first training step", Spread.of(steps).text(), "<= 4"]]
    show(table(["seconds", "", "target"], [*rows, ["whole command", Spread.of(wholes).text(), ""]]))


def _seconds() -> tuple[float, float]:
    """From the start of a process to its first training step and to its end."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        ran = run_product(search_file(Path(name), _TRIALS, _STEPS))
    return ran.first_step - ran.began, ran.ended - ran.began
