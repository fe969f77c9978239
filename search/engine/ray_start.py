"""Starts a Ray of our own, on a machine with other work too."""

import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from search.engine.ray_parts import only_what_trials_need
from search.engine.start_watch import LIMIT_SECONDS, PART_SECONDS, StartWatch
from search.errors import OperationFailed
from search.machine.interruption import keeping_signals

_log = logging.getLogger(__name__)

_OBJECT_STORE_BYTES = 512 * 2**20
ALONE = {
    "RAY_enable_metrics_collection": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # a driver that `uv run` has started: workers have its environment anyway
}
PATIENT = {
    "RAY_agent_register_timeout_ms": f"{1000 * PART_SECONDS:.0f}",
    "RAY_gcs_server_port_wait_time_s": f"{PART_SECONDS:.0f}",
    # A raylet that gets no time for five answers in a row ends itself, after 40 s. Whether it lives is seen elsewhere.
    "RAY_health_check_failure_threshold": f"{PART_SECONDS / 10:.0f}",
}


def start_ray(
    folder: Path,
    num_cpus: int,
    num_gpus: int,
    workers: int | None = None,
    threads: int = 1,
    *,
    limit_seconds: float = LIMIT_SECONDS,
    is_wanted: Callable[[], bool] = lambda: True,
) -> None:
    """Start Ray in `folder`; tried twice, for `limit_seconds` each time. OperationFailed if it does not start.

    workers: that are begun with it, None: one for each CPU. threads: of each worker. is_wanted: looked at all the time;
    where it is not any more, StartGivenUp.
    """
    import ray

    parts = partial(only_what_trials_need, folder, num_cpus if workers is None else workers, threads)
    for last_try in (False, True):
        watch = StartWatch(limit_seconds, is_wanted=is_wanted)
        try:
            with keeping_signals(), watch.watching(), parts():
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
            first = watch.given_up or str(error).strip().partition("\n")[0]
            ray.shutdown()
            watch.end_processes()  # of a start that fails Ray ends none
            if not is_wanted():
                raise
            if not last_try:
                _log.warning("Ray did not start (%s); it is started once more", first)
                continue
            raise OperationFailed(
                f"Ray did not start, twice: {first}{_busy()}. Run: python -m search doctor"
            ) from error
        else:
            return


def _busy() -> str:
    """The load of this machine in brackets, where it is to blame."""
    load, cpus = os.getloadavg()[0], len(os.sched_getaffinity(0))
    return f" (the load of this machine is {load:.0f}, and it has {cpus} CPUs)" if load > cpus else ""
