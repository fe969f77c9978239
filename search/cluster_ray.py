"""A Ray cluster that runs already: what a search needs of it, checked before anything is trained."""

import math
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from search.errors import InputError, OperationFailed
from search.local_ray import QUIET, log_like_the_rest
from search.spec import Resources

# What the nodes get of the checkout: the code. Data comes with the trials, results go to the storage path.
_NOT_SHIPPED = (".git", ".venv", ".cache", "runs", "docs", "tests", "*.db", "*.egg-info")


@contextmanager
def cluster_ray(address: str) -> Iterator[Path]:
    """Connect to the cluster at `address` ("auto": the one of this machine); yields a temporary folder.

    The token is Ray's own business: RAY_AUTH_MODE=token with RAY_AUTH_TOKEN or ~/.ray/auth_token, as the cluster has
    it. The code of this checkout is shipped to the nodes.
    """
    checkout = Path(__file__).resolve().parents[1]
    before = {name: os.environ.get(name) for name in QUIET}
    os.environ.update(QUIET)
    folder = Path(tempfile.mkdtemp(prefix="schedule-search-driver-"))
    try:
        import ray

        try:
            ray.init(
                address=address,
                log_to_driver=False,
                configure_logging=False,
                runtime_env={"working_dir": str(checkout), "excludes": list(_NOT_SHIPPED)},
            )
        except Exception as error:
            first = " ".join(str(error).split())[:300]
            raise OperationFailed(
                f"no Ray cluster at {address!r} lets us in: {first}. Is it up, and is its token here "
                "(RAY_AUTH_MODE=token and ~/.ray/auth_token)?"
            ) from error
        log_like_the_rest()
        yield folder
    finally:
        import ray

        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def cluster_slots(resources: Resources) -> int:
    """Trials at a time on the connected cluster: `max_concurrent`, else what fits on the nodes that are up."""
    import ray

    if resources.max_concurrent is not None:
        return resources.max_concurrent
    slots = 0
    for node in _nodes():
        cpus, gpus = node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0)
        by_cpu = math.floor(cpus / resources.cpu + 1e-6) if resources.cpu else math.inf
        by_gpu = math.inf
        if 0 < resources.gpu < 1:
            by_gpu = math.floor(gpus) * math.floor(1 / resources.gpu)
        elif resources.gpu:
            by_gpu = math.floor(gpus / resources.gpu)
        slots += int(min(by_cpu, by_gpu))
    if slots == 0:
        have = ray.cluster_resources()
        raise InputError(
            f"no node of the cluster has room for one trial (cpu {resources.cpu:g}, gpu {resources.gpu:g}; the "
            f"cluster has {have.get('CPU', 0):g} CPUs and {have.get('GPU', 0):g} GPUs now). If it starts nodes on "
            "demand, say with `resources.max_concurrent` how many trials may run at a time"
        )
    return slots


def check_shared(folder: Path) -> None:
    """Whether every node that is up sees `folder` and may write there. OperationFailed names one that does not."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    probe = folder / f".shared-{secrets.token_hex(8)}"
    probe.write_text("is this folder the same on every node?")
    check = ray.remote(num_cpus=0)(_sees)
    try:
        for node in _nodes():
            here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            problem = ray.get(check.options(scheduling_strategy=here).remote(str(probe)))
            if problem:
                raise OperationFailed(
                    f"storage.path: node {node['NodeManagerAddress']} {problem} {folder}. Trials keep their "
                    "checkpoints there: name a folder that all nodes share, such as a network file system"
                )
    finally:
        probe.unlink()


def _sees(probe: str) -> str | None:
    """Run on a node. What is wrong with the folder of `probe` there."""
    path = Path(probe)
    if not path.exists():
        return "does not share"
    return None if os.access(path.parent, os.W_OK) else "may not write to"


def _nodes() -> list[dict[str, Any]]:
    import ray

    return [node for node in ray.nodes() if node["Alive"]]
