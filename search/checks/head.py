"""What `doctor --cluster` asks of the head, answered there: nodes, storage, services, databases, disk.

Ray, and the search file with torch behind it, are imported where they are needed: where one of them is missing or
broken that is a finding, and the other checks go on.
"""

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
from search.engine import storage_check
from search.errors import InputError, OperationFailed
from search.machine.search_folders import local_root, usable
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
    yield from guarded("nodes", check_nodes())
    try:
        service = service_here()
    except InputError as error:
        yield Check("services", "fail", str(error), "Then start them again: python -m search serve --detach")
        return
    if service is None:
        yield Check(
            "services", "fail", f"no service was ever started here ({home()} has no service.json)", _START
        )
        return
    yield from guarded("services", check_servers())
    yield from guarded("mlflow", check_mlflow(service))
    yield from guarded("study", check_url("study", service.study_url))
    yield from guarded("storage", check_storage(service.storage))
    yield from guarded("disk", space_of("the services' state", home()))


def versions() -> dict[str, str]:
    """Of what must be the same on all machines."""
    import ray

    return {"Ray": ray.__version__, "Python": platform.python_version()}


def check_storage_of(spec: "SearchSpec") -> str:
    """The storage of a submitted search, looked at from here and all nodes. InputError where it cannot be used."""
    from search.cluster.storage_defaults import with_service

    storage = with_service(spec).storage.path
    if not is_bucket(storage):
        folder = local_root(storage)
        with usable(folder):
            storage = str(folder)
    try:
        if spec.script is None:
            spec.own_setting.data.check()
            spec.own_setting.network.check()
            spec.own_setting.extractor.check()
    except ValueError as error:
        raise InputError(str(error)) from error
    connect()
    storage_check.check_shared(storage)
    return storage


def connect() -> None:
    """Join the Ray of this machine, unless that is done. OperationFailed where there is none."""
    import ray

    if ray.is_initialized():
        return
    try:
        ray.init(address="auto", log_to_driver=False, configure_logging=False)
    except ConnectionError as error:
        raise OperationFailed(
            "no Ray runs on this machine. Ask where the head of the cluster is: python -m search doctor --cluster"
        ) from error


def check_nodes() -> Iterator[Check]:
    """Which nodes are up, and what they have for trials."""
    import ray

    connect()
    nodes: list[dict[str, Any]] = [node for node in ray.nodes() if node["Alive"]]
    have = ray.cluster_resources()
    workers = f"{len(nodes) - 1} workers" if len(nodes) != 2 else "1 worker"
    message = f"the head and {workers} are up, {have.get('CPU', 0):g} CPUs and {have.get('GPU', 0):g} GPUs for trials"
    if len(nodes) > 1 or have.get("CPU", 0):
        yield Check("nodes", "ok", message)
    else:
        remedy = "This is right where workers start on demand; on own machines look at monitor.out (docs/cluster.md)"
        yield Check("nodes", "warn", message, remedy)


def check_servers() -> Iterator[Check]:
    """What the supervisor says of its servers."""
    found = status(home())
    if found is None:
        yield Check("services", "fail", "the services do not run", _START)
        return
    for name, server in found["parts"].items():
        again = f", restarted {server['restarts']} times" if server["restarts"] else ""
        message = f"{name} is {server['state']} at {server['url']}{again}"
        if server["state"] == "healthy":
            yield Check("services", "ok", message)
        else:
            logs = f"{home() / f'{name}.log'} and {LOG_FILE} there"
            remedy = f"It is started again by itself; if that does not help, see, on the head, {logs}"
            yield Check("services", "fail", message, remedy)


def check_mlflow(service: Service) -> Iterator[Check]:
    """Whether MLflow lets in who has the password, and nobody else."""
    pair = f"{service.mlflow_username}:{service.mlflow_password}".encode()
    authorization = f"Basic {base64.b64encode(pair).decode()}"
    uri = service.mlflow_uri
    try:
        without, with_it = _answer_code(uri, {}), _answer_code(uri, {"Authorization": authorization})
    except (OSError, http.client.HTTPException) as error:
        yield Check("mlflow", "fail", f"{uri} does not answer: {error}", _START)
        return
    if without == 200:
        remedy = "Is it another server? End it, then start the services again"
        yield Check("mlflow", "fail", f"{uri} answers without a password", remedy)
    elif with_it in (401, 403):
        message = f"{uri} refuses the password of service.json ({with_it})"
        remedy = "Run on the head: python -m search serve --stop, then --detach"
        yield Check("mlflow", "fail", message, remedy)
    elif with_it != 200:
        message = f"{uri} has trouble ({with_it}), perhaps with its database"
        yield Check("mlflow", "fail", message, f"See, on the head, {home() / 'mlflow.log'}")
    else:
        yield Check("mlflow", "ok", f"{uri} asks for the password ({without} without) and takes ours")


def check_storage(location: str) -> Iterator[Check]:
    """Whether all nodes can use the storage of the head's service."""
    folder = None if is_bucket(location) else Path(location)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            remedy = "Change its owner, or start `serve` with another --storage"
            yield Check("storage", "fail", f"the head may not write to {folder}", remedy)
            return
    if storage_check.check_shared(location) == 1 and folder is not None:
        message = f"{location} can be used on the head, and no other node is up that could be asked"
        remedy = "It must be the same folder on all machines, or their trials stop the search: docs/cluster.md, Storage"
        yield Check("storage", "warn", message, remedy)
    else:
        yield Check("storage", "ok", f"{location} is the same on all nodes, and they may write there")
    if folder is not None:
        yield from space_of("results", folder)


def _answer_code(uri: str, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection(urlsplit(uri).netloc, timeout=_SECONDS)
    try:
        connection.request("GET", _ASKED, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()
