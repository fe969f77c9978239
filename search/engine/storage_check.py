"""Whether the trials' storage can be used, from here and from every node: asked before anything is trained."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from search.errors import InputError, OperationFailed
from trainable.image_file import MappedTensor
from trainable.storage.folder import StorageError
from trainable.storage.location import open_folder

_NODE_SECONDS = 120.0  # for all nodes together; a node fetches the code first


def check_here(location: str) -> None:
    """InputError where the storage cannot be listed, written, read and cleared from this machine.

    A folder is made if it is missing. A server that is silent is given up after half a minute.
    """
    with _as_input():
        folder = open_folder(location)
        folder.names()
        name, content = f"probe-{secrets.token_hex(8)}", secrets.token_bytes(16)
        folder.write(name, content)
        found = folder.read(name)
        folder.remove(name)
        if found != content:
            raise StorageError(f"{location} does not return what was written to it")


def check_shared(location: str) -> int:
    """How many nodes have answered that they can use the storage, and see there what others write.

    InputError names one that does not, OperationFailed one that did not say.
    """
    check_here(location)
    with _as_input():
        folder = open_folder(location)
        name = f"probe-{secrets.token_hex(8)}"
        folder.write(name, b"is this the same place on every node?")
        try:
            ask = partial(problem_on_node, location, name)
            return _ask_nodes(ask, "storage.path", f"it can use {location}")
        finally:
            folder.remove(name)


def check_images_shared(file: MappedTensor) -> int:
    """How many nodes have answered that they have the images that trials map. InputError names one that has not."""
    return _ask_nodes(file.problem_here, "data", f"it has {file.path}")


def _ask_nodes(problem_there: Callable[[], str | None], field: str, whether: str) -> int:
    """field: of the search file, that is to blame. whether: what is asked, for a node that does not answer."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    sees = ray.remote(num_cpus=0, max_retries=0)(_answer)
    asked = {
        sees.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
            problem_there
        ): node["NodeManagerAddress"]
        for node in ray.nodes()
        if node["Alive"]
    }
    deadline, num_answers = time.monotonic() + _NODE_SECONDS, 0
    for answer, address in asked.items():
        try:
            problem = ray.get(answer, timeout=max(0.0, deadline - time.monotonic()))
        except ray.exceptions.GetTimeoutError:
            raise OperationFailed(
                f"{field}: node {address} did not say within {_NODE_SECONDS:.0f} s whether {whether}. Is the node well?"
            ) from None
        except (ray.exceptions.RayTaskError, ray.exceptions.RuntimeEnvSetupError) as error:
            why = " ".join(str(getattr(error, "cause", error)).split())[:200]
            raise OperationFailed(f"{field}: node {address} cannot be asked: {why}") from error
        except ray.exceptions.RayError:
            # It died meanwhile: no trial will run there. When it is back, its first trial looks for the search's mark.
            continue
        num_answers += 1
        if problem:
            raise InputError(f"{field}: node {address} {problem}")
    return num_answers


def _answer(problem_there: Callable[[], str | None]) -> str | None:
    return problem_there()


@contextmanager
def _as_input() -> Iterator[None]:
    """A storage that cannot be used is the fault of whoever named it."""
    try:
        yield
    except StorageError as error:
        raise InputError(f"storage.path: {error}") from error


def problem_on_node(location: str, name: str) -> str | None:
    """Run on a node. What is wrong with the storage there, None if nothing. name: a file that the driver has put."""
    folder = open_folder(location)
    try:
        if folder.read(name) is None:
            return (
                f"does not share {location}. Trials keep their checkpoints there: name a folder that all nodes share, "
                "such as a network file system, or a bucket"
            )
        own = f"{name}-{secrets.token_hex(4)}"
        folder.write(own, b"")
        folder.remove(own)
    except StorageError as error:
        return f"cannot use the storage: {error}"
    return None
