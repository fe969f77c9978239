"""What `python -m search serve` keeps running on this machine, as its other programs find it.

The state folder is `~/.schedule-search` (SCHEDULE_SEARCH_HOME moves it), for its owner alone; `service.json` there
holds the addresses and passwords, which stand nowhere else that a process list, a log or MLflow shows.
"""

import dataclasses
import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search.errors import InputError
from trainable.atomic import atomic_file

FORMAT = "schedule-search-service/1"
HOME_VARIABLE = "SCHEDULE_SEARCH_HOME"
_FILE = "service.json"


@dataclass(frozen=True, kw_only=True)
class Service:
    """Where a search on the head keeps things unless its file says otherwise.

    storage: folder or bucket of checkpoints and artifacts. study_url: SQLAlchemy URL, password included.
    mlflow_uri: the tracking server, which answers to nobody without the user name and the password.
    """

    storage: str
    study_url: str = field(repr=False)
    mlflow_uri: str
    mlflow_username: str
    mlflow_password: str = field(repr=False)


def home() -> Path:
    """The state folder; it need not exist."""
    return Path(os.environ.get(HOME_VARIABLE) or "~/.schedule-search").expanduser().absolute()


def make_home() -> Path:
    """The state folder, made if missing, for its owner alone. InputError if it belongs to someone else."""
    folder = home()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.geteuid():
            raise InputError(
                f"the state folder {folder} belongs to another user. Name another one in {HOME_VARIABLE}"
            )
        folder.chmod(0o700)
    except OSError as error:
        raise InputError(
            f"the state folder {folder} cannot be used: {error.strerror}. Name another one in {HOME_VARIABLE}"
        ) from error
    return folder


def service_here() -> Service | None:
    """The services of this machine, None where none were ever started.

    InputError for a file that is not private, or that is not what `serve` writes.
    """
    path = home() / _FILE
    content = read_private(path)
    return None if content is None else _parsed(content, path)


def write_service(service: Service) -> Path:
    """Make `service` the one that `service_here` finds; returns the file (mode 600, replaced as a whole)."""
    path = make_home() / _FILE
    content = json.dumps({"format": FORMAT, **dataclasses.asdict(service)}, indent=2) + "\n"
    write_private(path, content)
    return path


def read_private(path: Path) -> bytes | None:
    """What the file holds, None if there is none. InputError for one that is not ours, or that others may use."""
    try:
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise InputError(
                    f"{path} must belong to you and be for its owner alone: it holds a password. "
                    f"Run: chmod 600 {path}"
                )
            return stream.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def write_private(path: Path, text: str) -> None:
    """`path` holds exactly `text`, for its owner alone from the first byte on."""
    with atomic_file(path) as file:
        os.fchmod(file.fileno(), stat.S_IRUSR | stat.S_IWUSR)
        file.write(text.encode())


def mlflow_environment(service: Service) -> dict[str, str]:
    """What MLflow's client needs in its environment to be let in: for the one process that uses it."""
    return {
        "MLFLOW_TRACKING_USERNAME": service.mlflow_username,
        "MLFLOW_TRACKING_PASSWORD": service.mlflow_password,
    }


def _parsed(content: bytes, path: Path) -> Service:
    names = [each.name for each in dataclasses.fields(Service)]
    try:
        found: Any = json.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.pop("format", None) != FORMAT:
        raise InputError(f'{path} must be JSON with "format": "{FORMAT}". Run: python -m search serve')
    for name in names:
        if not isinstance(found.get(name), str) or not found[name]:
            raise InputError(f"{path}: {name!r} must be a text. Run: python -m search serve")
    if unknown := sorted(set(found) - set(names)):
        raise InputError(f"{path}: unknown field {unknown[0]!r}. Known: {', '.join(names)}")
    return Service(**found)
