"""Quiet, offline libraries in every test, set before any of them is imported."""

import os
import signal
import tempfile

os.environ.update(
    RAY_USAGE_STATS_ENABLED="0",
    MLFLOW_DISABLE_TELEMETRY="true",
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT="true",
    OMP_NUM_THREADS="1",
    # The service and the searches of this machine are none of the tests' business.
    SCHEDULE_SEARCH_HOME=f"{tempfile.gettempdir()}/schedule-search-tests-{os.getpid()}",
)

# Background jobs of a script ignore Ctrl-C, and so would all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
