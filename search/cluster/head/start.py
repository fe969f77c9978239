"""Starts the service of this machine, in the foreground or in the background, once."""

import importlib
import logging
import multiprocessing
import os
import pkgutil
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from search.cluster.head import parts as parts_folder
from search.cluster.head import processes
from search.cluster.head.server import START_SECONDS, HeadSettings, Server
from search.cluster.head.supervisor import supervise
from search.cluster.head.supervisor_lock import (
    LOG_FILE,
    AlreadyRunning,
    forget,
    only_supervisor,
    status,
    supervisor,
)
from search.errors import InputError, OperationFailed
from search.machine import preflight
from search.machine.mlflow_options import free_port
from search.machine.service import Service, service_here, write_service
from search.machine.state_folder import home, make_home
from trainable.storage.bucket_url import BucketUrl

MLFLOW_PORT, DASHBOARD_PORT = 5000, 8080
USERNAME = "admin"
_ARTIFACTS = "mlflow-artifacts"
_BUCKETS = ("s3://", "gs://")

_log = logging.getLogger("serve")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the user wants. storage: folder or bucket; None: the one it had, at first the default."""

    storage: str | None
    mlflow_port: int
    dashboard_port: int
    allow_root: bool

    def arguments(self) -> list[str]:
        """Of `serve`."""
        storage = ["--storage", storage_of(self.storage, home())] if self.storage else []
        ports = ["--port", str(self.mlflow_port), "--dashboard-port", str(self.dashboard_port)]
        return [*storage, *ports, *(["--allow-root"] if self.allow_root else [])]


@dataclass(frozen=True, kw_only=True)
class Running:
    """A service that runs. found: it did so before it was asked for. parts: name -> url, state, restarts."""

    found: bool
    pid: int
    folder: Path
    service: Service
    parts: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without passwords."""
        from search.cluster.head.databases import shown

        return {
            "already_running": self.found,
            "pid": self.pid,
            "state_folder": str(self.folder),
            "storage": self.service.storage,
            "databases": shown(self.service.study_url),
            "parts": self.parts,
        }

    def lines(self) -> list[str]:
        """For the screen."""
        first = "The services run already" if self.found else "The services run"
        each = [f"  {name:<17} {part['url']}  {part['state']}" for name, part in self.parts.items()]
        return [f"{first} (process {self.pid}):", *each, *_facts(self.folder, self.service)]


def _facts(folder: Path, service: Service) -> list[str]:
    from search.cluster.head.databases import shown

    return [
        f"Databases: {shown(service.study_url)}",
        f"Storage:   {service.storage}",
        f"User name and password: {folder / 'service.json'}; log: {folder / LOG_FILE}",
    ]


def in_foreground(asked: Asked, announce: Callable[[list[str]], None]) -> Running | None:
    """Run the service until SIGTERM, SIGINT or SIGHUP; or, where it runs already, say so and do nothing.

    announce: gets the lines that say what is started.
    """
    folder = _folder_for(asked)
    ended: list[int] = []

    def stop(signum: int, frame: FrameType | None) -> None:
        ended.append(signum)

    try:
        with only_supervisor(folder):
            for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(signum, stop)
            _log_to(folder / LOG_FILE)
            if processes.end(f"{folder}:"):
                _log.warning("ended what a supervisor that was killed had left")
            head, service = _prepared(asked, folder)
            parts = parts_of(head)
            write_service(service)
            announce([f"{part.name}: {part.url}" for part in parts] + _facts(folder, service))
            supervise(parts, folder, lambda: bool(ended))
    except AlreadyRunning:
        return _already(asked, folder)
    return None


def in_background(asked: Asked) -> Running:
    """Start the service in a session of its own and return when all parts answer; or find it running already."""
    folder = _folder_for(asked)
    if supervisor(folder) is not None:
        return _already(asked, folder)
    forget(folder)
    log = folder / LOG_FILE
    with processes.open_log(log) as stream:
        said_before = os.fstat(stream.fileno()).st_size
        process = subprocess.Popen(
            [sys.executable, "-m", "search", "serve", *asked.arguments()],
            cwd=preflight.ROOT,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        code = process.poll()
        if code == 0:  # another one was faster
            return _already(asked, folder)
        if code is not None:
            said = log.read_bytes()[said_before:].decode(errors="replace")
            problems = re.findall(r"^error: (.*)$", said, re.MULTILINE)
            raise OperationFailed("\n".join(problems) or f"the services ended with code {code}. See {log}")
        found = status(folder)
        if found and all(part["state"] == "healthy" for part in found["parts"].values()):
            return _running(folder, found, found_running=False)
        time.sleep(0.2)
    raise OperationFailed(
        f"the services have not all answered in {START_SECONDS:.0f} s; they are still being started. See {folder}/*.log"
    )


def parts_of(head: HeadSettings) -> list[Server]:
    """All that can run here, one for each file in `search/cluster/head/parts/`."""
    names = sorted(module.name for module in pkgutil.iter_modules(parts_folder.__path__))
    made = [importlib.import_module(f"{parts_folder.__name__}.{name}").part(head) for name in names]
    return [part for part in made if part is not None]


def storage_of(given: str | None, folder: Path) -> str:
    """The storage as it is written down: a bucket as given, a folder absolute. InputError for anything else."""
    text = given or str(folder / "runs")
    if re.search(r"[\x00-\x1f?#%]", text):
        raise InputError(f"--storage must be without ? # % and control characters, but got {text!r}")
    if "://" not in text:
        return str(Path(text).expanduser().absolute())
    if not text.startswith(_BUCKETS):
        raise InputError(f"--storage must be a folder, s3://BUCKET/... or gs://BUCKET/..., but got {text!r}")
    try:
        return str(BucketUrl.parse(text))
    except ValueError as error:
        raise InputError(f"--storage {error}") from error


def _folder_for(asked: Asked) -> Path:
    if os.geteuid() == 0 and not asked.allow_root:
        raise InputError(
            "the services must not run as root: whoever gets past MLflow's password may make it write any file. Start "
            "them as the user whose searches they are for, or, where a container has no other, add --allow-root"
        )
    return make_home()


def _prepared(asked: Asked, folder: Path) -> tuple[HeadSettings, Service]:
    """The databases and the storage made ready. Ports are free when this returns."""
    from search.cluster.head import databases

    before, url = service_here(), databases.given_url(folder)
    if url is None and before is not None and not before.study_url.startswith("sqlite"):
        raise InputError(
            f"the databases of this head are {databases.shown(before.study_url)}, but none is named now. Name it in "
            f"{databases.VARIABLE} or in {folder / databases.FILE}. To start anew with SQLite remove "
            f"{folder / 'service.json'}"
        )
    storage = storage_of(asked.storage or (before.storage if before else None), folder)
    artifacts = f"{storage}/{_ARTIFACTS}"
    if "://" not in storage:
        try:
            Path(artifacts).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--storage: {storage} cannot be used: {error.strerror}") from error
        artifacts = Path(artifacts).as_uri()
    for option, port in (("--port", asked.mlflow_port), ("--dashboard-port", asked.dashboard_port)):
        try:
            free_port(port)
        except InputError as error:
            raise InputError(str(error).replace("--port", option)) from error
    # A process of its own: the libraries that make the tables would stay in our memory for ever.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        made = pool.submit(databases.prepare, url, folder).result()
    if before is not None and before.study_url != made.study:
        _log.warning("searches that were made in %s stay there", databases.shown(before.study_url))
    password = before.mlflow_password if before is not None else secrets.token_hex(24)
    head = HeadSettings(
        folder=folder,
        study_url=made.study,
        mlflow_url=made.mlflow,
        auth_url=made.auth,
        artifacts=artifacts,
        username=USERNAME,
        password=password,
        mlflow_port=asked.mlflow_port,
        dashboard_port=asked.dashboard_port,
    )
    service = Service(
        storage=storage,
        study_url=made.study,
        mlflow_uri=f"http://127.0.0.1:{asked.mlflow_port}",
        mlflow_username=USERNAME,
        mlflow_password=password,
    )
    return head, service


def _already(asked: Asked, folder: Path) -> Running:
    """The service that runs. OperationFailed if it is not what is asked for."""
    deadline = time.monotonic() + START_SECONDS
    while (found := status(folder)) is None:
        if supervisor(folder) is None or time.monotonic() > deadline:
            raise OperationFailed(f"the services do not come up. See {folder / LOG_FILE}")
        time.sleep(0.2)
    running = _running(folder, found, found_running=True)
    if asked.storage is not None and storage_of(asked.storage, folder) != running.service.storage:
        raise OperationFailed(
            f"the services run already, with the storage {running.service.storage}. "
            "End them first: python -m search serve --stop"
        )
    return running


def _running(folder: Path, found: dict[str, Any], *, found_running: bool) -> Running:
    service = service_here()
    assert service is not None
    return Running(
        found=found_running, pid=found["pid"], folder=folder, service=service, parts=found["parts"]
    )


def _log_to(path: Path) -> None:
    """Onto stderr and, unless that is the file already, into the file."""
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    with processes.open_log(path) as stream:
        if not os.path.sameopenfile(sys.stderr.fileno(), stream.fileno()):
            handlers.append(logging.FileHandler(path))
    form = "%(asctime)s %(levelname)s %(message)s"
    logging.basicConfig(level=logging.INFO, format=form, handlers=handlers, force=True)
