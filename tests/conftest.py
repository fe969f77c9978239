"""Quiet, offline libraries in every test, set before any of them is imported."""

import os

os.environ.update(
    RAY_USAGE_STATS_ENABLED="0",
    MLFLOW_DISABLE_TELEMETRY="true",
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT="true",
    OMP_NUM_THREADS="1",
)
