"""A Ray cluster that runs already: what a search needs of it, checked before anything is trained."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from search.engine.ray_here import QUIET, log_like_the_rest, surroundings
from search.errors import InputError, OperationFailed
from search.file.spec import Resources
from search.machine.checkout import is_shipped
from search.machine.interruption import keeping_signals
from search.machine.package import package_here


@contextmanager
def cluster_ray(address: str) -> Iterator[Path]:
    """Connect to the cluster at `address` ("auto": the one of this machine); yields a temporary folder.

    The token is Ray's own business: RAY_AUTH_MODE=token with RAY_AUTH_TOKEN or ~/.ray/auth_token, as the cluster has
    it. The code of this checkout is shipped to the nodes.
    """
    with surroundings(QUIET) as folder:
        import ray

        # A job's code is on the nodes as it came; Ray refuses to be given another.
        code = None if is_shipped() else {"working_dir": _packed(folder)}
        try:
            with keeping_signals():
                ray.init(address=address, log_to_driver=False, configure_logging=False, runtime_env=code)
        except Exception as error:
            first = " ".join(str(error).split())[:300]
            raise OperationFailed(
                f"no Ray cluster at {address!r} lets us in: {first}. Is it up, and is its token here "
                "(RAY_AUTH_MODE=token and ~/.ray/auth_token)?"
            ) from error
        log_like_the_rest()
        yield folder


def _packed(folder: Path) -> str:
    """The file in `folder` with the code of this checkout, as Ray unpacks it on the nodes."""
    file = folder / "code.zip"
    file.write_bytes(package_here())
    return str(file)


def cluster_slots(resources: Resources) -> int:
    """Trials at a time on the connected cluster: `max_concurrent`, else what fits on the nodes that are up."""
    import ray

    if resources.max_concurrent is not None:
        return resources.max_concurrent
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    slots = sum(resources.trials_on(node.get("CPU", 0.0), node.get("GPU", 0.0)) for node in nodes)
    if slots == 0:
        have = ray.cluster_resources()
        raise InputError(
            f"no node of the cluster has room for one trial (cpu {resources.cpu:g}, gpu {resources.gpu:g}; the "
            f"cluster has {have.get('CPU', 0):g} CPUs and {have.get('GPU', 0):g} GPUs now). If it starts nodes on "
            "demand, say with `resources.max_concurrent` how many trials may run at a time"
        )
    return slots
