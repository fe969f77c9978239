"""Starts a Ray of our own, on a machine with other work too."""

import importlib
import logging
import os
import shlex
import sys
import threading
from contextlib import suppress
from pathlib import Path

from search.engine.ray_parts import without_what_only_watches
from search.engine.start_watch import LIMIT_SECONDS, PART_SECONDS, StartWatch
from search.errors import OperationFailed
from search.machine.interruption import keeping_signals

_log = logging.getLogger(__name__)

_OBJECT_STORE_BYTES = 512 * 2**20
PATIENT = {
    "RAY_agent_register_timeout_ms": f"{1000 * PART_SECONDS:.0f}",
    "RAY_gcs_server_port_wait_time_s": f"{PART_SECONDS:.0f}",
    # A raylet that gets no time for five answers in a row ends itself, after 40 s. Whether it lives is seen elsewhere.
    "RAY_health_check_failure_threshold": f"{PART_SECONDS / 10:.0f}",
}


def start_ray(folder: Path, num_cpus: int, num_gpus: int, limit_seconds: float = LIMIT_SECONDS) -> None:
    """Start Ray in `folder`; tried twice, for `limit_seconds` each time. OperationFailed if it does not start."""
    import ray

    # Ray's start is mostly waiting for its processes. What it raises is raised again where it is imported.
    threading.Thread(target=_import_tune, name="import of Tune").start()
    for last_try in (False, True):
        watch = StartWatch(limit_seconds)
        try:
            with keeping_signals(), watch.watching(), without_what_only_watches():
                ray.init(
                    address="local",
                    num_cpus=num_cpus,
                    num_gpus=num_gpus,
                    object_store_memory=_OBJECT_STORE_BYTES,
                    include_dashboard=False,
                    log_to_driver=False,
                    configure_logging=False,
                    runtime_env={
                        # Ray starts workers by a line for the shell, in which it does not quote its interpreter's path.
                        "py_executable": shlex.quote(sys.executable),
                        # What a worker that is killed leaves there goes with Ray's folder.
                        "env_vars": {"TMPDIR": str(folder)},
                    },
                    _temp_dir=str(folder),
                    _node_ip_address="127.0.0.1",
                )
        except Exception as error:
            first = watch.given_up or str(error).strip().partition("\n")[0]
            ray.shutdown()
            watch.end_processes()  # of a start that fails Ray ends none
            if not last_try:
                _log.warning("Ray did not start (%s); it is started once more", first)
                continue
            raise OperationFailed(
                f"Ray did not start, twice: {first}{_busy()}. Run: python -m search doctor"
            ) from error
        else:
            return


def _import_tune() -> None:
    with suppress(Exception):
        importlib.import_module("search.engine.tune")


def _busy() -> str:
    """The load of this machine in brackets, where it is to blame."""
    load, cpus = os.getloadavg()[0], len(os.sched_getaffinity(0))
    return f" (the load of this machine is {load:.0f}, and it has {cpus} CPUs)" if load > cpus else ""
