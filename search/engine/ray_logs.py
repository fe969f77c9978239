"""Where Ray's own logs lie, and which of them says why workers do not start or are silent."""

from pathlib import Path

from search.engine.ray_here import own_folder
from search.machine.last_words import newest_with_words

# Of a private Ray's temporary folder, and what is said of workers there, the most telling first: what the shell says
# that starts them, what they say themselves, what the node says of them.
_LOGS = Path("session_latest", "logs")
_OF_WORKERS = ("raylet.err", "worker-*.err", "raylet.out")
_OF_START = ("*.err", "raylet.out", "gcs_server.out")


def session_logs() -> Path | None:
    """The folder of logs of the connected Ray on this machine, None without one."""
    from ray._private import worker

    node = worker._global_node
    return None if node is None else Path(node.get_logs_dir_path())


def log_of_workers() -> Path | None:
    """The log that tells most of the workers on this machine; the folder, where none says anything."""
    folder = session_logs()
    return None if folder is None else _telling(folder, _OF_WORKERS)


def log_of_start() -> Path | None:
    """Likewise of a private Ray that this process is starting; None before its folder is there."""
    folder = own_folder()
    return None if folder is None else _telling(folder / _LOGS, _OF_START)


def _telling(folder: Path, patterns: tuple[str, ...]) -> Path | None:
    if not folder.is_dir():
        return None
    found = (newest_with_words(folder.glob(pattern)) for pattern in patterns)
    return next((path for path in found if path is not None), folder)
