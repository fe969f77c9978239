"""A Ray of our own: started for one search, gone with it, seen by nobody else."""

import importlib
import logging
import os
import re
import resource
import secrets
import shutil
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from search.engine.ray_lost import OF_RAY, left_when_lost
from search.engine.ray_start import ALONE, PATIENT, start_ray
from search.engine.tune_workers import with_environment_of_driver
from search.errors import OperationFailed
from search.machine.checkout import ROOT
from search.machine.descendants import adopt_orphans, kill_descendants_with
from search.machine.temporary import PREFIX, temporary_folder, temporary_root
from search.machine.writable import why_not_writable

_log = logging.getLogger(__name__)

# Ray's folder is called PREFIX, a process id, 8 characters at random. Short, since a Unix socket's address is.
_LONGEST_SOCKET = "/search-4194304-12345678/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
_LONGEST_ROOT = 107 - len(_LONGEST_SOCKET)
_LEAST_ROOM = 8 * 2**20  # bytes; a search of minutes leaves 0.3 MB of logs there

# Ray Tune reads these when it is imported or run. Its files hold nothing that we read again, its output
# and its handler of Ctrl-C would get into the way of ours, and a report without an objective is no error.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
    # How often Tune asks Ray for its resources, for a warning: a lost Ray never answers that.
    "TUNE_STATE_REFRESH_PERIOD": "86400",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "86400",
}


class StartingRay:
    """A Ray of our own that starts while this process does something else. start: starts it, unless it is told that
    nobody wants it any more."""

    def __init__(self, folder: Path, start: Callable[[Callable[[], bool]], None]):
        import ray  # noqa: F401  (here: two threads that import it at once meet a half of it)

        log_like_the_rest()
        self._folder, self._unwanted = folder, threading.Event()
        self._thread = ThreadPoolExecutor(1, "ray")
        self._started = self._thread.submit(start, lambda: not self._unwanted.is_set())

    @contextmanager
    def connected(self) -> Iterator[Path]:
        """Its folder, when it has started. OperationFailed if it does not start."""
        importlib.import_module("search.engine.tune")  # while Ray starts
        self._started.result()
        log_like_the_rest()
        with left_when_lost(), with_environment_of_driver():
            yield self._folder

    def end(self) -> None:
        """Leave it, or its start, and end what it has not ended: what a raylet has started outlives it for seconds."""
        import ray

        self._unwanted.set()
        wait([self._started])
        ray.shutdown()
        self._thread.shutdown()  # not before: with a thread Linux kills what it started, and Ray waits 5 s for those
        kill_descendants_with(OF_RAY)


@contextmanager
def local_ray(num_cpus: int, num_gpus: int) -> Iterator[Path]:
    """Run a private Ray, see `starting_ray`; yields its folder."""
    with starting_ray(num_cpus, num_gpus) as ray, ray.connected() as folder:
        yield folder


@contextmanager
def starting_ray(
    num_cpus: int, num_gpus: int, workers: int | None = None, threads: int = 1
) -> Iterator[StartingRay]:
    """Begin a private Ray with these resources and a temporary folder, which go with the block.

    Its processes accept only holders of a token that this process has made, so neither another user of
    this machine nor another Ray can join. Nothing is written to the home folder; there is no dashboard.
    workers: that are begun with it, None: one for each CPU. threads: of each worker.
    """
    ensure_limits(num_cpus)
    remove_leftovers()
    environment: dict[str, str | None] = {
        **QUIET,
        **PATIENT,
        **ALONE,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": _token(),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        **dict.fromkeys(("RAY_ADDRESS", "RAY_AUTH_TOKEN_PATH", "RAY_TMPDIR")),
        # Of a job that this driver is: workers have its environment already, and there is nobody to make another one.
        **dict.fromkeys(("RAY_JOB_CONFIG_JSON_ENV_VAR", "RAY_RUNTIME_ENV_HOOK")),
    }
    adopt_orphans()
    with surroundings(environment, root=root_for_sockets()) as folder:
        ray = StartingRay(
            folder,
            lambda is_wanted: start_ray(folder, num_cpus, num_gpus, workers, threads, is_wanted=is_wanted),
        )
        try:
            yield ray
        finally:
            ray.end()


def root_for_sockets() -> Path:
    """Where Ray's folder is made: the temporary folder of this user, or /tmp where that has too long a path.

    OperationFailed where neither will do.
    """
    reasons = []
    for root in dict.fromkeys((temporary_root(), Path("/tmp"))):
        reason = _unfit_because(root)
        if reason is None:
            return root
        reasons.append(reason)
    raise OperationFailed(
        f"Ray needs a folder for its sockets and logs, with a path of at most {_LONGEST_ROOT} characters and "
        f"{_LEAST_ROOM >> 20} MiB free, but {' and '.join(reasons)}. Set TMPDIR to another one"
    )


def _unfit_because(root: Path) -> str | None:
    """Why Ray's folder cannot be in `root`, None if it can."""
    length = len(os.fsencode(root))
    if length > _LONGEST_ROOT:
        return f"{root} has {length} characters"
    why = why_not_writable(root)
    if why is not None:
        return why
    free = shutil.disk_usage(root).free
    return f"{root} has {free >> 20} MiB free" if free < _LEAST_ROOM else None


def ensure_limits(num_workers: int) -> None:
    """Raise what this user may open and start to what Ray needs for so many workers.

    OperationFailed where the hard limit is lower.
    """
    for what, limit, option, least in (
        ("open files", resource.RLIMIT_NOFILE, "n", 512 + 32 * num_workers),
        ("processes and threads", resource.RLIMIT_NPROC, "u", 256 + 64 * num_workers),
    ):
        soft, hard = resource.getrlimit(limit)
        if soft == resource.RLIM_INFINITY or soft >= least:
            continue
        if hard != resource.RLIM_INFINITY and hard < least:
            raise OperationFailed(
                f"Ray needs {least} {what} for {num_workers} trials at a time, but this user may have {hard}. "
                f"Have the limit raised (ulimit -H{option} {least}), or lower resources.max_concurrent"
            )
        resource.setrlimit(limit, (least, hard))


@cache
def _token() -> str:
    """The same for all Rays of this process, which are one after the other: Ray reads it once."""
    return secrets.token_hex(32)


@contextmanager
def surroundings(environment: Mapping[str, str | None], root: Path | None = None) -> Iterator[Path]:
    """For a Ray that the block starts or joins: environment variables (None: not set) and a temporary folder.

    At the end Ray is left, the folder goes, and the variables are as they were. root: where the folder is made; None:
    where this user's temporary files go.
    """
    before = {name: os.environ.get(name) for name in environment}
    _set(environment)
    with temporary_folder(f"{PREFIX}{os.getpid()}-", root) as folder:
        try:
            yield folder
        finally:
            import ray

            ray.shutdown()
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

    worker.logger.addFilter(_is_news)
    # Of a lost machine it tells stdout, where our results go, by the page and whatever `log_to_driver` says.
    worker.print_to_stdstream = _log_lines


def _is_news(record: logging.LogRecord) -> bool:
    """Not that a Ray which starts behind the main thread leaves SIGTERM alone: it is to."""
    return not record.getMessage().startswith("SIGTERM handler is not set")


def _log_lines(data: Mapping[str, Any], ignore_prefix: bool) -> None:
    for message in data["lines"]:
        _log.warning("Ray: %s", message.strip().partition("\n")[0])


def remove_leftovers() -> None:
    """Remove the folders of this user's drivers that were killed: named by process id, and that process is gone."""
    for root in {temporary_root(), Path("/tmp")}:
        for folder in root.glob(f"{PREFIX}*"):
            match = re.fullmatch(rf"{PREFIX}(\d+)-\w+", folder.name)
            if match and _is_our_folder(folder) and _is_gone(int(match[1])):
                shutil.rmtree(folder, ignore_errors=True)


def _is_our_folder(path: Path) -> bool:
    """Whether it is a folder of this user's, and not a link to one."""
    status = path.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()


def own_folder() -> Path | None:
    """The folder of the Ray that this process starts or has started, None if there is none."""
    roots = {temporary_root(), Path("/tmp")}
    found = (path for root in roots for path in root.glob(f"{PREFIX}{os.getpid()}-*"))
    return next((path for path in found if _is_our_folder(path)), None)


def _is_gone(process: int) -> bool:
    return Path("/proc").exists() and not Path("/proc", str(process)).exists()
