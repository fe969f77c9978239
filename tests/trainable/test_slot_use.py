"""What a slot uses, of processes that really run."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import ray  # brings psutil
from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor

from tests.clock import Clock
from trainable.gpu.gpu_slice import Card
from trainable.slot_use import PREFIX, SlotUse
from trainable.task import Progress

assert ray
GIB = 2**30


class FakeCard(Card):
    """One of 8 GiB, of which this process holds what it is told. busy: in percent."""

    def __init__(self, held: int | None, busy: float | None = None):
        self._held, self._busy = held, busy

    def total_bytes(self) -> int:
        return 8 * GIB

    def held_bytes(self) -> int | None:
        return self._held

    def busy_percentage(self) -> float | None:
        return self._busy


def told(*times_ms: int, number: int = 0) -> Progress:
    """A trial with a report at each of these times."""
    reports: list[dict[str, Any]] = [
        {"step": i, "objective": 1.0, "time_ms": at, "metrics": {"fd": 1.0}} for i, at in enumerate(times_ms)
    ]
    return Progress(number=number, step=0, reports=reports)


def metrics(progress: Progress, at: int = -1) -> dict[str, float]:
    found = progress.reports[at]["metrics"]
    return {name.removeprefix(PREFIX): value for name, value in found.items() if name.startswith(PREFIX)}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """Has had a fifth of a second of a CPU, and then waits."""
    code = "import sys, time\nwhile time.process_time() < .2: pass\nprint(flush=True)\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as found:
        yield found
        assert found.stdin is not None
        found.stdin.close()


def test_names_are_mlflows_own() -> None:
    theirs = CPUMonitor()
    theirs.collect_metrics()
    use, trial = SlotUse(1, 0, FakeCard(None)), told(2**53)
    use.note([trial])
    assert metrics(trial).keys() == theirs.aggregate_metrics().keys()


def test_what_a_process_that_was_started_uses_counts_as_a_share_of_the_slots_cpus(
    clock: Clock, request: pytest.FixtureRequest
) -> None:
    use = SlotUse(2, 0, FakeCard(None), clock)
    child = request.getfixturevalue("child")
    child.stdout.readline()
    clock.now += 1
    trial = told(1_001_000)
    use.note([trial])
    found = metrics(trial)
    assert found["cpu_utilization_percentage"] >= 5  # .2 s of two CPUs in a second
    assert found["system_memory_usage_megabytes"] > 10
    assert 0 < found["system_memory_usage_percentage"] < 100


def test_a_report_is_noted_once_and_an_earlier_one_not(clock: Clock) -> None:
    use = SlotUse(1, 0, FakeCard(None), clock)
    trial, other = told(999_000, 1_000_500), told(1_000_400, number=1)
    clock.now += 1
    use.note([trial, other])
    assert metrics(trial, 0) == {}  # from before, as of a trial that goes on here
    first = metrics(trial)
    assert first and metrics(other) == first  # of one slot
    clock.now += 5
    use.note([trial, other, Progress(number=2, step=0, reports=[])])
    assert metrics(trial) == first


@pytest.mark.parametrize(
    ("share", "card", "expected"),
    [
        (
            0.5,
            FakeCard(GIB, 40.0),
            {
                "gpu_0_memory_usage_megabytes": 1073.7,
                "gpu_0_memory_usage_percentage": 25.0,
                "gpu_0_utilization_percentage": 40.0,
            },
        ),
        (2, FakeCard(GIB), {"gpu_0_memory_usage_megabytes": 1073.7, "gpu_0_memory_usage_percentage": 12.5}),
        (0.5, FakeCard(None, 40.0), {}),  # a script's, which this process does not use
        (0, FakeCard(GIB, 40.0), {}),
    ],
)
def test_a_share_of_a_card_is_told_as_such(share: float, card: Card, expected: dict[str, float]) -> None:
    use, trial = SlotUse(1, share, card), told(2**53)
    use.note([trial])
    found = metrics(trial)
    assert {name: value for name, value in found.items() if name.startswith("gpu")} == expected
