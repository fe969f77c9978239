"""A Ray of our own: started for one search, gone with it, seen by nobody else."""

import logging
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from search.errors import OperationFailed
from search.machine.checkout import ROOT

_log = logging.getLogger(__name__)

_OBJECT_STORE_BYTES = 512 * 2**20

# Ray Tune reads these when it is imported or run. Its files hold nothing that we read again, its output
# and its handler of Ctrl-C would get into the way of ours, and a report without an objective is no error.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES": "",  # it tells the screen of each; ours are given
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "86400",
}


@contextmanager
def local_ray(num_cpus: int, num_gpus: int) -> Iterator[Path]:
    """Run a private Ray with these resources; yields its temporary folder, which goes with it.

    Its processes accept only holders of a token that this process has made, so neither another user of
    this machine nor another Ray can join. Nothing is written to the home folder; there is no dashboard.
    """
    _remove_leftovers()
    environment: dict[str, str | None] = {
        **QUIET,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": _token(),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        **dict.fromkeys(("RAY_ADDRESS", "RAY_AUTH_TOKEN_PATH", "RAY_TMPDIR")),
    }
    # Short: Unix sockets below it must stay under 107 characters.
    with surroundings(environment, prefix=f"{_prefix()}{os.getpid()}-") as folder:
        import ray

        try:
            ray.init(
                address="local",
                num_cpus=num_cpus,
                num_gpus=num_gpus,
                object_store_memory=_OBJECT_STORE_BYTES,
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
                _temp_dir=str(folder),
                _node_ip_address="127.0.0.1",
            )
        except Exception as error:
            first = str(error).strip().partition("\n")[0]
            raise OperationFailed(
                f"Ray did not start: {first}. Try: python -m search doctor --ray"
            ) from error
        log_like_the_rest()
        yield folder


@cache
def _token() -> str:
    """The same for all Rays of this process, which are one after the other: Ray reads it once."""
    return secrets.token_hex(32)


@contextmanager
def surroundings(environment: Mapping[str, str | None], prefix: str) -> Iterator[Path]:
    """For a Ray that the block starts or joins: environment variables (None: not set) and a temporary folder.

    At the end Ray is left, the folder goes, and the variables are as they were.
    """
    before = {name: os.environ.get(name) for name in environment}
    _set(environment)
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield folder
    finally:
        import ray

        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
        _set(before)


def _set(environment: Mapping[str, str | None]) -> None:
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def log_like_the_rest() -> None:
    """Ray's loggers have handlers of their own for the screen; its messages go where ours go."""
    for name, logger in logging.root.manager.loggerDict.items():
        if name.split(".")[0] == "ray" and isinstance(logger, logging.Logger):
            logger.handlers.clear()
            logger.propagate = True
    from ray._private import worker

    # Of a lost machine it tells stdout, where our results go, by the page and whatever `log_to_driver` says.
    worker.print_to_stdstream = _log_lines


def _log_lines(data: Mapping[str, Any], ignore_prefix: bool) -> None:
    for message in data["lines"]:
        _log.warning("Ray: %s", message.strip().partition("\n")[0])


def _prefix() -> str:
    return f"schedule-search-{os.getuid()}-"


def _remove_leftovers() -> None:
    """Remove the folders of drivers that were killed: named by process id, and that process is gone."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_prefix()}*"):
        match = re.fullmatch(rf"{re.escape(_prefix())}(\d+)-.*", folder.name)
        if match and not Path("/proc", match[1]).exists() and Path("/proc").exists():
            shutil.rmtree(folder, ignore_errors=True)
