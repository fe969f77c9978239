"""Quiet, offline libraries in every test, set before any of them is imported."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.update(
    RAY_USAGE_STATS_ENABLED="0",
    MLFLOW_DISABLE_TELEMETRY="true",
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT="true",
    OMP_NUM_THREADS="1",
    # The service and the searches of this machine are none of the tests' business.
    SCHEDULE_SEARCH_HOME=f"{tempfile.gettempdir()}/schedule-search-tests-{os.getpid()}",
    # A feature network is trained once for all runs of the tests; `make clean` removes it.
    SCHEDULE_SEARCH_CACHE=f"{Path(__file__).parents[1] / '.cache'}",
)

# Background jobs of a script ignore Ctrl-C, and so would all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    """A command that runs in a test's own process handles signals until it ends: here, until the test ends."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
