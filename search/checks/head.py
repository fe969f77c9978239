"""What `doctor --cluster` asks of the head, answered there: nodes, storage, services, databases, disk."""

import base64
import http.client
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from search.checks.check import Check, guarded
from search.checks.stores import check_url, space_of
from search.cluster.head.supervisor_lock import LOG_FILE, status
from search.errors import InputError
from search.machine.service import Service, service_here
from search.machine.state_folder import home
from trainable.storage.location import is_bucket

if TYPE_CHECKING:
    from search.file.spec import SearchSpec

_START = "Run on the head: python -m search serve --detach"
_SECONDS = 10.0
_ASKED = "/api/2.0/mlflow/experiments/search?max_results=1"


def findings() -> Iterator[Check]:
    """All checks in order. One that breaks is itself a finding."""
    yield from guarded("nodes", _nodes())
    try:
        service = service_here()
    except InputError as error:
        yield Check("services", "fail", str(error), "Then start them again: python -m search serve --detach")
        return
    if service is None:
        yield Check("services", "fail", f"none were ever started ({home()} has no service.json)", _START)
        return
    yield from guarded("services", _parts())
    yield from guarded("mlflow", mlflow(service))
    yield from guarded("study", check_url("study", service.study_url))
    yield from guarded("storage", storage(service.storage))
    yield from guarded("disk", space_of("the services' state", home()))


def versions() -> dict[str, str]:
    """Of what must be the same on all machines."""
    import ray

    return {"Ray": ray.__version__, "Python": platform.python_version()}


def check_storage_of(spec: "SearchSpec") -> str:
    """The storage of a submitted search, looked at from here and all nodes. InputError where it cannot be used."""
    from search.cluster.storage_defaults import with_service
    from search.engine.storage_check import check_shared
    from search.machine.search_folders import local_root, usable

    place = with_service(spec).storage.path
    if not is_bucket(place):
        with usable(local_root(place)):
            place = str(local_root(place))
    _connect()
    check_shared(place)
    return place


def _connect() -> None:
    import ray

    if not ray.is_initialized():
        ray.init(address="auto", log_to_driver=False, configure_logging=False)


def _nodes() -> Iterator[Check]:
    import ray

    _connect()
    nodes: list[dict[str, Any]] = [node for node in ray.nodes() if node["Alive"]]
    have = ray.cluster_resources()
    workers = f"{len(nodes) - 1} workers" if len(nodes) != 2 else "1 worker"
    message = f"the head and {workers} are up, {have.get('CPU', 0):g} CPUs and {have.get('GPU', 0):g} GPUs for trials"
    if len(nodes) > 1 or have.get("CPU", 0):
        yield Check("nodes", "ok", message)
    else:
        remedy = "Right where workers start on demand; on own machines look at monitor.out (docs/cluster.md)"
        yield Check("nodes", "warn", message, remedy)


def _parts() -> Iterator[Check]:
    found = status(home())
    if found is None:
        yield Check("services", "fail", "they do not run", _START)
        return
    for name, part in found["parts"].items():
        again = f", restarted {part['restarts']} times" if part["restarts"] else ""
        message = f"{name} is {part['state']} at {part['url']}{again}"
        if part["state"] == "healthy":
            yield Check("services", "ok", message)
        else:
            logs = f"{home() / f'{name}.log'} and {LOG_FILE} there"
            remedy = f"It is started again by itself; if that does not help, see, on the head, {logs}"
            yield Check("services", "fail", message, remedy)


def mlflow(service: Service) -> Iterator[Check]:
    """Whether MLflow lets in who has the password, and nobody else."""
    pair = f"{service.mlflow_username}:{service.mlflow_password}".encode()
    right = f"Basic {base64.b64encode(pair).decode()}"
    try:
        without, with_it = (_code(service.mlflow_uri, authorization) for authorization in (None, right))
    except (OSError, http.client.HTTPException) as error:
        yield Check("mlflow", "fail", f"{service.mlflow_uri} does not answer: {error}", _START)
        return
    if without == 200:
        message = f"{service.mlflow_uri} answers without a password"
        yield Check("mlflow", "fail", message, "Is it another server? End it, then start the services again")
    elif with_it in (401, 403):
        message = f"{service.mlflow_uri} refuses the password of service.json ({with_it})"
        yield Check(
            "mlflow", "fail", message, "Run on the head: python -m search serve --stop, then --detach"
        )
    elif with_it != 200:
        message = f"{service.mlflow_uri} has trouble ({with_it}), perhaps with its database"
        yield Check("mlflow", "fail", message, f"See, on the head, {home() / 'mlflow.log'}")
    else:
        message = f"{service.mlflow_uri} asks for the password ({without} without) and takes ours"
        yield Check("mlflow", "ok", message)


def _code(uri: str, authorization: str | None) -> int:
    address = urlsplit(uri)
    connection = http.client.HTTPConnection(address.netloc, timeout=_SECONDS)
    try:
        connection.request("GET", _ASKED, headers={"Authorization": authorization} if authorization else {})
        return connection.getresponse().status
    finally:
        connection.close()


def storage(location: str) -> Iterator[Check]:
    """Whether all nodes can use the storage of the head's service."""
    from search.engine.storage_check import check_shared

    folder = None if is_bucket(location) else Path(location)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            yield Check(
                "storage",
                "fail",
                f"the head may not write to {folder}",
                "Change its owner, or serve --storage",
            )
            return
    if check_shared(location) == 1 and folder is not None:
        message = f"{location} can be used on the head, and no other node is up that could be asked"
        remedy = "It must be the same folder on all machines, or their trials stop the search: docs/cluster.md, Storage"
        yield Check("storage", "warn", message, remedy)
    else:
        yield Check("storage", "ok", f"{location} is the same on all nodes, and they may write there")
    if folder is not None:
        yield from space_of("results", folder)
