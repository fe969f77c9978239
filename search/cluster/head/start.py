"""Starts the services of this machine, in the foreground or in the background, once."""

import importlib
import logging
import os
import pkgutil
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from search.cluster.head import processes
from search.cluster.head import servers as servers_folder
from search.cluster.head.databases import shown
from search.cluster.head.preparation import ServeOptions, folder_for, prepared, storage_of
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
from search.errors import OperationFailed
from search.machine.checkout import ROOT
from search.machine.log_file import LogFile, UtcFormatter
from search.machine.service import Service, service_here, write_service

_POLL_SECONDS = 0.2

_log = logging.getLogger("serve")


@dataclass(frozen=True, kw_only=True)
class RunningService:
    """Services that run. found: they did so before they were asked for. servers: name -> url, state, restarts."""

    found: bool
    pid: int
    folder: Path
    service: Service
    servers: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without passwords."""
        return {
            "already_running": self.found,
            "pid": self.pid,
            "state_folder": str(self.folder),
            "storage": self.service.storage,
            "databases": shown(self.service.study_url),
            "parts": self.servers,
        }

    def lines(self) -> list[str]:
        """For the screen."""
        first = "The services run already" if self.found else "The services run"
        each = [f"  {name:<17} {server['url']}  {server['state']}" for name, server in self.servers.items()]
        return [f"{first} (process {self.pid}):", *each, *_facts(self.folder, self.service)]


def in_foreground(options: ServeOptions, announce: Callable[[list[str]], None]) -> RunningService | None:
    """Run the services until SIGTERM, SIGINT or SIGHUP; or, where they run already, return them and do nothing.

    announce: gets the lines that say what is started.
    """
    folder = folder_for(options)
    try:
        with only_supervisor(folder):
            received = _received_signals()
            _log_to(folder / LOG_FILE)
            if processes.end(f"{folder}:"):
                _log.warning("ended what a supervisor that was killed had left")
            settings, service = prepared(options, folder)
            servers = servers_of(settings)
            write_service(service)
            announce([f"{server.name}: {server.url}" for server in servers] + _facts(folder, service))
            supervise(servers, folder, lambda: bool(received))
    except AlreadyRunning:
        return _already_running(options, folder)
    return None


def in_background(options: ServeOptions) -> RunningService:
    """Start the services in a session of their own, return when all servers answer; or find them running already."""
    folder = folder_for(options)
    if supervisor(folder) is not None:
        return _already_running(options, folder)
    forget(folder)
    log = folder / LOG_FILE
    with processes.open_log(log) as stream:
        said_before = os.fstat(stream.fileno()).st_size
        process = subprocess.Popen(
            [sys.executable, "-m", "search", "serve", *options.arguments()],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        code = process.poll()
        if code == 0:  # another one was faster
            return _already_running(options, folder)
        if code is not None:
            raise _ended(code, log, said_before)
        told = status(folder)
        if told and all(server["state"] == "healthy" for server in told["parts"].values()):
            return _running_service(folder, told, found=False)
        time.sleep(_POLL_SECONDS)
    raise OperationFailed(
        f"the services have not all answered in {START_SECONDS:.0f} s; they are still being started. See {folder}/*.log"
    )


def servers_of(settings: HeadSettings) -> list[Server]:
    """All servers that can run here, one for each file in `search/cluster/head/servers/`."""
    names = sorted(module.name for module in pkgutil.iter_modules(servers_folder.__path__))
    made = [importlib.import_module(f"{servers_folder.__name__}.{name}").server(settings) for name in names]
    return [server for server in made if server is not None]


def _facts(folder: Path, service: Service) -> list[str]:
    return [
        f"Databases: {shown(service.study_url)}",
        f"Storage:   {service.storage}",
        f"User name and password: {folder / 'service.json'}; log: {folder / LOG_FILE}",
    ]


def _received_signals() -> list[int]:
    """From now on the signals that end the services only go into this list."""
    received: list[int] = []

    def receive(signum: int, frame: FrameType | None) -> None:
        received.append(signum)

    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, receive)
    return received


def _log_to(path: Path) -> None:
    """Onto stderr and, unless that is the file already, into the file."""
    form = "%(asctime)s %(levelname)s %(message)s"
    screen = logging.StreamHandler()
    screen.setFormatter(UtcFormatter(form))
    handlers: list[logging.Handler] = [screen]
    with processes.open_log(path) as stream:
        if not os.path.sameopenfile(sys.stderr.fileno(), stream.fileno()):
            handlers.append(LogFile(path, form))
    logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)


def _already_running(options: ServeOptions, folder: Path) -> RunningService:
    """The services that run. OperationFailed if they are not what is asked for."""
    deadline = time.monotonic() + START_SECONDS
    while (told := status(folder)) is None:
        if supervisor(folder) is None or time.monotonic() > deadline:
            raise OperationFailed(f"the services do not come up. See {folder / LOG_FILE}")
        time.sleep(_POLL_SECONDS)
    running = _running_service(folder, told, found=True)
    if options.storage is not None and storage_of(options.storage, folder) != running.service.storage:
        raise OperationFailed(
            f"the services run already, with the storage {running.service.storage}. "
            "End them first: python -m search serve --stop"
        )
    return running


def _running_service(folder: Path, told: dict[str, Any], *, found: bool) -> RunningService:
    service = service_here()
    assert service is not None
    return RunningService(found=found, pid=told["pid"], folder=folder, service=service, servers=told["parts"])


def _ended(code: int, log: Path, said_before: int) -> OperationFailed:
    """Why the services have ended: the errors that they have said since the log had `said_before` bytes."""
    said = log.read_bytes()[said_before:].decode(errors="replace")
    problems = re.findall(r"^error: (.*)$", said, re.MULTILINE)
    return OperationFailed(*problems or [f"the services ended with code {code}. See {log}"])
