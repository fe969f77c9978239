"""What stands around every figure: its spread, the table it is in, the machine it was measured on."""

import importlib.metadata
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_PACKAGES = ("torch", "ray", "optuna", "mlflow", "sqlalchemy", "numpy")


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of repeated measurements."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """ValueError for no values."""
        if not values:
            raise ValueError("a spread needs at least one value, but got none")
        return cls(statistics.median(values), min(values), max(values), len(values))

    def text(self, digits: int = 2) -> str:
        """`0.97 [0.95, 0.99]`; one value alone has no brackets."""
        if self.count == 1:
            return f"{self.median:.{digits}f}"
        return f"{self.median:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


def ratios(one: Sequence[float], other: Sequence[float]) -> Spread:
    """one / other pair by pair: what slows the machine for a while slows both of a pair."""
    return Spread.of([a / b for a, b in zip(one, other, strict=True)])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their longest cell; the first to the left, the others to the right."""
    lines = [list(head), *[list(row) for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]
        )
        for line in lines
    )


def machine() -> str:
    """Cores, processor, system."""
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores of {_cpu_model()}, {platform.system()} {platform.release()}"


def versions() -> str:
    """Of Python and of the packages that a time depends on."""
    packages = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    return f"Python {platform.python_version()}, {packages}"


def heading() -> str:
    """The machine, its load, the versions and the command, in four lines."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return "\n".join(
        [
            f"machine   {machine()}",
            f"load      {load} (1, 5, 15 minutes; figures of a machine that does other work are provisional)",
            f"versions  {versions()}",
            f"command   python -m bench {' '.join(sys.argv[1:])}".rstrip(),
        ]
    )


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown CPU"
    )
