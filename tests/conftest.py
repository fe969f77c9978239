"""Quiet, offline libraries in every test, set before any of them is imported."""

import os
import signal
import tempfile
from pathlib import Path

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
