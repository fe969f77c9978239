"""What `serve` does before it starts servers: databases, storage and ports made ready for what the user wants."""

import logging
import os
import re
import secrets
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from search.cluster.head import databases
from search.cluster.head.server import HeadSettings
from search.errors import InputError
from search.machine.mlflow_options import HOST, free_port
from search.machine.service import Service, service_here
from search.machine.state_folder import home, make_home
from trainable.own_process import in_own_process
from trainable.storage.bucket_url import BucketUrl
from trainable.storage.path import expanded

USERNAME = "admin"
_ARTIFACTS = "mlflow-artifacts"
_BUCKETS = ("s3://", "gs://")

_log = logging.getLogger("serve")


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
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


def folder_for(options: ServeOptions) -> Path:
    """The state folder, made if missing. InputError for root, unless that is meant."""
    if os.geteuid() == 0 and not options.allow_root:
        raise InputError(
            "the services must not run as root: whoever gets past MLflow's password may make it write any file. Start "
            "them as the user whose searches they are for, or, where a container has no other, add --allow-root"
        )
    return make_home()


def prepared(options: ServeOptions, folder: Path) -> tuple[HeadSettings, Service]:
    """The databases and the storage, made ready; the ports are free when this returns.

    Storage and password are those of the service that was here before, where the user names no other.
    """
    before, url = service_here(), databases.given_url(folder)
    _check_not_forgotten(url, before, folder)
    storage = storage_of(options.storage or (before.storage if before else None), folder)
    artifacts = _artifacts_in(storage)
    _check_ports(options)
    urls = _databases(url, folder)
    if before is not None and before.study_url != urls.study:
        _log.warning("searches that were made in %s stay there", databases.shown(before.study_url))
    password = before.mlflow_password if before is not None else secrets.token_hex(24)
    settings = HeadSettings(
        folder=folder,
        study_url=urls.study,
        mlflow_url=urls.mlflow,
        auth_url=urls.auth,
        artifacts=artifacts,
        username=USERNAME,
        password=password,
        mlflow_port=options.mlflow_port,
        dashboard_port=options.dashboard_port,
    )
    service = Service(
        storage=storage,
        study_url=urls.study,
        mlflow_uri=f"http://{HOST}:{options.mlflow_port}",
        mlflow_username=USERNAME,
        mlflow_password=password,
    )
    return settings, service


def storage_of(given: str | None, folder: Path) -> str:
    """The storage as it is written down: a bucket as given, a folder absolute. InputError for anything else."""
    text = given or str(folder / "runs")
    if re.search(r"[\x00-\x1f]", text):
        raise InputError(f"--storage must be without control characters, but got {text!r}")
    if "://" not in text:
        return str(expanded(text).absolute())
    if not text.startswith(_BUCKETS):
        raise InputError(f"--storage must be a folder, s3://BUCKET/... or gs://BUCKET/..., but got {text!r}")
    try:
        return str(BucketUrl.parse(text))
    except ValueError as error:
        raise InputError(f"--storage {error}") from error


def _check_not_forgotten(url: str | None, before: Service | None, folder: Path) -> None:
    """InputError where a head that had a database server would go on with SQLite files."""
    if url is None and before is not None and not before.study_url.startswith("sqlite"):
        raise InputError(
            f"the databases of this head are {databases.shown(before.study_url)}, but none is named now. Name it in "
            f"{databases.VARIABLE} or in {folder / databases.FILE}. To start anew with SQLite remove "
            f"{folder / 'service.json'}"
        )


def _artifacts_in(storage: str) -> str:
    """Where MLflow keeps files, as a URI; a folder is made."""
    artifacts = f"{storage}/{_ARTIFACTS}"
    if "://" in storage:
        return artifacts
    try:
        Path(artifacts).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--storage: {storage} cannot be used: {error.strerror}") from error
    return Path(artifacts).as_uri()


def _check_ports(options: ServeOptions) -> None:
    for option, port in (("--port", options.mlflow_port), ("--dashboard-port", options.dashboard_port)):
        try:
            free_port(port)
        except InputError as error:
            raise InputError(str(error).replace("--port", option)) from error


def _databases(url: str | None, folder: Path) -> databases.DatabaseUrls:
    """Made in a process of its own: the libraries that make the tables would stay in our memory for ever."""
    return in_own_process(partial(databases.prepare, url, folder))
