"""Starts a Ray of our own, on a machine with other work too."""

import logging
import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from search.errors import OperationFailed
from search.machine.interruption import keeping_signals

_log = logging.getLogger(__name__)

_OBJECT_STORE_BYTES = 512 * 2**20
# How long one part of Ray waits for another one. Its own 30 s are exceeded where several searches start at once.
_PART_SECONDS = 90
PATIENT = {
    "RAY_agent_register_timeout_ms": str(1000 * _PART_SECONDS),
    "RAY_gcs_server_port_wait_time_s": str(_PART_SECONDS),
}


def start_ray(folder: Path, num_cpus: int, num_gpus: int) -> None:
    """Start Ray in `folder`, which is tried twice. OperationFailed if it does not start."""
    import ray

    for last_try in (False, True):
        try:
            with keeping_signals(), patience():
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
            first = str(error).strip().partition("\n")[0]
            ray.shutdown()
            if not last_try:
                _log.warning("Ray did not start (%s); it is started once more", first)
                continue
            load, cpus = os.getloadavg()[0], len(os.sched_getaffinity(0))
            busy = f" (the load of this machine is {load:.0f}, and it has {cpus} CPUs)" if load > cpus else ""
            raise OperationFailed(
                f"Ray did not start, twice: {first}{busy}. Run: python -m search doctor"
            ) from error
        else:
            return


@contextmanager
def patience() -> Iterator[None]:
    """Ray, which gives up its node after 30 s of asking for it, waits longer for each answer in this block."""
    from ray._private import services

    ask = services.get_node

    def ask_patiently(*arguments: Any) -> Any:
        deadline = time.monotonic() + _PART_SECONDS
        while True:
            try:
                return ask(*arguments)
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    services.get_node = ask_patiently
    try:
        yield
    finally:
        services.get_node = ask
