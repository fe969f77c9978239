"""What `python -m search serve` keeps running on this machine, as its other programs find it.

The state folder is `~/.schedule-search` (SCHEDULE_SEARCH_HOME moves it), for its owner alone; `service.json` there
holds the addresses and passwords, which stand nowhere else that a process list, a log or MLflow shows.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search.errors import InputError
from search.machine.state_folder import home, make_home, read_private, write_private

FORMAT = "schedule-search-service/1"
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
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.pop("format", None) != FORMAT:
        raise InputError(f'{path} must be JSON with "format": "{FORMAT}". Run: python -m search serve')
    for name in names:
        if not isinstance(found.get(name), str) or not found[name]:
            raise InputError(f"{path}: {name!r} must be a text. Run: python -m search serve")
    if unknown := sorted(set(found) - set(names)):
        raise InputError(f"{path}: unknown field {unknown[0]!r}. Known: {', '.join(names)}")
    return Service(**found)


def needed_service() -> Service:
    """The service of this machine; InputError if there is none."""
    service = service_here()
    if service is None:
        raise InputError(
            "the search keeps its study or its runs in the service of a cluster's head, and there is none on this "
            "machine. On the head run: python -m search serve. From elsewhere give --address"
        )
    return service
