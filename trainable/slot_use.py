"""What a slot of a machine uses while a trial is trained: CPU, memory, GPU, under MLflow's own names for such metrics.

Of this process and those that it has started, such as a script, between two looks at it; not of the whole machine.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import psutil

from trainable.gpu.gpu_slice import Card
from trainable.task import Progress

PREFIX = "system/"  # MLflow shows what begins so under "System metrics"
_MEGABYTE = 1e6


class SlotUse:
    """cpus, gpus: what the slot has. clock: wall-clock seconds, as that of the trials' reports."""

    def __init__(self, cpus: float, gpus: float, card: Card, clock: Callable[[], float] = time.time):
        self._cpus, self._share, self._card, self._clock = cpus or 1.0, min(gpus, 1.0), card, clock
        self.begin()

    def begin(self) -> None:
        """Look from now on."""
        self._since, self._since_ms = self._clock(), int(self._clock() * 1000)
        self._seconds = self._cpu_seconds()

    def note(self, news: Sequence[Progress]) -> None:
        """Trials that have reported since the last look say what was used since then."""
        newest = [progress.reports[-1] for progress in news if progress.reports]
        fresh = [report for report in newest if report["time_ms"] >= self._since_ms]
        if fresh:
            used = self._used()
            for report in fresh:
                report["metrics"].update(used)
            self.begin()
            self._since_ms = max([self._since_ms, *(report["time_ms"] for report in fresh)]) + 1

    def _used(self) -> dict[str, float]:
        before, now = self._seconds, self._cpu_seconds()
        busy = sum(seconds - before.get(process, 0.0) for process, seconds in now.items())
        passed = max(self._clock() - self._since, 1e-3)
        held = sum(_of(process, lambda p: p.memory_info().rss) for process in _processes())
        used = {
            "cpu_utilization_percentage": 100 * busy / (passed * self._cpus),
            "system_memory_usage_megabytes": held / _MEGABYTE,
            "system_memory_usage_percentage": 100 * held / psutil.virtual_memory().total,
        }
        return {f"{PREFIX}{name}": round(value, 1) for name, value in (used | self._of_card()).items()}

    def _of_card(self) -> dict[str, float]:
        """Of the card that Ray made visible, where this process uses it."""
        held = self._card.held_bytes() if self._share else None
        if held is None:
            return {}
        share = self._share * self._card.total_bytes()
        found = {
            "gpu_0_memory_usage_megabytes": held / _MEGABYTE,
            "gpu_0_memory_usage_percentage": 100 * held / share,
        }
        busy = self._card.busy_percentage()
        return found if busy is None else {**found, "gpu_0_utilization_percentage": busy}

    def _cpu_seconds(self) -> dict[int, float]:
        """By process id what each has had so far."""
        return {
            process.pid: _of(process, lambda p: sum(p.cpu_times()[:2]))  # user, system
            for process in _processes()
        }


def _processes() -> list[Any]:
    """This one, and those that it has started."""
    this = psutil.Process()
    return [this, *this.children(recursive=True)]


def _of(process: Any, what: Callable[[Any], float]) -> float:
    """0 of one that has ended meanwhile."""
    with suppress(psutil.Error):
        return what(process)
    return 0.0
