"""What may stand in the plain fields of a search file: names, device slices, database URLs."""

import itertools
import math
import re
from pathlib import Path
from typing import Any

from search.file.messages import shown
from search.machine.sqlite_url import database_in
from search.machine.urls import hide_password, shown_url
from spaces.checks import MAX_EVALUATIONS
from trainable.storage.bucket_url import BucketUrl
from trainable.storage.location import is_bucket

# What stands beside the searches in their storage path, and MLflow's own experiment, whose files go elsewhere.
_TAKEN = ("mlflow.db", "mlflow.db-wal", "mlflow.db-shm", "mlflow-artifacts", "errors", "Default")


def checked_name(name: str) -> str:
    if name in _TAKEN:
        raise ValueError(
            f"must be none of {', '.join(_TAKEN)}, which stand for something else, but got {name!r}"
        )
    if name.endswith((".yaml", ".yml", ".json")):
        raise ValueError(
            "must not end in .yaml, .yml or .json, since every command takes that for a file, but got "
            f"{name!r} (write {name.rpartition('.')[0]})"
        )
    return name


def checked_rounds(rounds: list[int]) -> list[int]:
    if not rounds or rounds[0] < 2 or any(a >= b for a, b in itertools.pairwise(rounds)) or rounds[-1] > 1000:
        raise ValueError(f"must be increasing numbers of seeds from 2 to 1000, but got {shown(rounds)}")
    return rounds


def checked_nfe(numbers: list[int]) -> list[int]:
    """Of levels that are optimised: one alone has none to choose."""
    return _checked_evaluations(numbers, 2, 10)


def checked_evaluations(numbers: list[int]) -> list[int]:
    return _checked_evaluations(numbers, 1, MAX_EVALUATIONS)


def _checked_evaluations(numbers: list[int], least: int, most: int) -> list[int]:
    if any(not least <= number <= most for number in numbers) or len(set(numbers)) < len(numbers):
        raise ValueError(
            f"must be different numbers of network evaluations from {least} to {most}, but got {shown(numbers)}"
        )
    return sorted(numbers)


_ONE_NTH = re.compile(r"1/([1-9][0-9]{0,2})")


def device_share(value: Any) -> Any:
    """A number of devices: 0, 1, 2, ... or 1/n of one ("1/3" works too). To 4 decimals, as Ray counts.

    0.3333 is three to a card. What would strand more than 2 % of a card is refused: Ray places two
    trials of 0.4 on a card and leaves 20 % of it to nobody.
    """
    if isinstance(value, str) and (match := _ONE_NTH.fullmatch(value)):
        value = 1 / int(match[1])
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"must be a number or a share such as 1/3, but got {shown(value)}")
    if not 0 <= value <= 4096:
        raise ValueError(f"must be from 0 to 4096, but got {shown(value)}")
    if value == int(value):
        return float(value)
    if value > 1:
        below = math.floor(value)
        raise ValueError(f"must be a whole number above 1, but got {value:g}. Nearest: {below}, {below + 1}")
    if value < 0.001:
        raise ValueError(f"must be 0 or at least 0.001, but got {value:g}")
    share = math.floor(1 / value + 1e-6)
    if 1 - share * value > 0.0200001:
        nearest = (
            f"{one_nth(share + 1):g} ({share + 1} to a device), {one_nth(share):g} ({share} to a device)"
        )
        stranded = round(100 * (1 - share * value))
        raise ValueError(
            f"must be 1/n or a whole number, but got {value:g}, which leaves {stranded} % of each device to "
            f"nobody. Nearest: {nearest}"
        )
    return one_nth(share)


# The clients that NVIDIA's MPS takes for one GPU; far before it the CUDA contexts have taken the memory.
MOST_TO_A_GPU = 48


def gpu_share(value: Any) -> Any:
    """A number of GPUs, as `device_share`; at most 48 trials share one."""
    share = device_share(value)
    if 0 < share < one_nth(MOST_TO_A_GPU):
        raise ValueError(
            f"must be at least 1/{MOST_TO_A_GPU}, but got {shown(value)}: each trial has a CUDA context of some "
            f"hundred MiB. Nearest: {one_nth(MOST_TO_A_GPU):g} ({MOST_TO_A_GPU} to a device), or 0 for the CPU"
        )
    return share


MOST_STACKED = 1024


def checked_stack(value: Any) -> Any:
    """How many trials a worker holds at once; "auto": as many as pay where they run."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if value == "auto" or (is_number and 1 <= value <= MOST_STACKED):
        return value
    raise ValueError(f"must be a whole number from 1 to {MOST_STACKED}, or auto, but got {shown(value)}")


def one_nth(n: int) -> float:
    """1/n rounded down to 4 decimals, so that n of them fit."""
    return math.floor(1e4 / n) / 1e4


def _url(url: str, what: str) -> Any:
    from sqlalchemy.engine import make_url  # a search that keeps to its folder needs none of it
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        parsed = make_url(url)
        parsed.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise ValueError(
            f"must be {what}, but got {shown(shown_url(url))}. "
            "Example: postgresql+psycopg2://user@host/database"
        ) from None
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ValueError("must be kept in a file, but a SQLite database in memory is lost at the end")
    return parsed


# In place of a URL: the database, or the MLflow server, that `serve` runs on this machine.
SERVICE = "service"


def _no_password(url: str, remedy: str) -> None:
    """The search file is kept beside the results, shown and sent to MLflow, and searches are found through it."""
    hidden = hide_password(url)
    if "***" in hidden:  # also of a file that an earlier version kept
        raise ValueError(
            f"must not hold a password, since search files are kept and shown, but got {hidden}. {remedy}"
        )


# What reads the password of a database instead.
_DATABASE_PASSWORD = (
    "Leave it out: PostgreSQL's client looks into PGPASSWORD and ~/.pgpass, MySQL's into the file that "
    "?read_default_file= names"
)


def checked_study_url(url: str) -> str:
    if url == SERVICE:
        return url
    parsed = _url(url, "a database URL as SQLAlchemy reads them")
    _no_password(url, _DATABASE_PASSWORD)
    if parsed.drivername == "postgresql":
        raise ValueError(
            "must name the driver, but got postgresql:// (SQLAlchemy and Optuna disagree on its default). "
            "Write postgresql+psycopg2:// or postgresql+psycopg://"
        )
    return url


def checked_mlflow_uri(uri: str) -> str:
    if uri == SERVICE:
        return uri
    if re.match(r"https?://[^/\s]+", uri):
        _no_password(
            uri, "Leave it out: MLflow looks into MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
        return uri
    if uri.startswith("file:") or "://" not in uri:
        raise ValueError(
            f"must be a database URL or http(s)://, but got {shown(shown_url(uri))}: "
            "MLflow has given up plain folders. Leave it out, or write sqlite:///PATH"
        )
    _url(uri, "a database URL or an http(s) address")
    _no_password(uri, _DATABASE_PASSWORD)
    return uri


def checked_storage(path: str) -> str:
    """A folder, or the URL of a place in a bucket."""
    if is_bucket(path):
        return str(BucketUrl.parse(path))
    if not path.strip() or re.search(r"[\x00-\x1f]", path):
        raise ValueError(f"must be a folder without control characters, but got {shown(path)}")
    return path


def same_database(one: str, other: str) -> bool:
    if re.match(r"https?://", other):
        return False

    def key(url: str) -> tuple[Any, ...]:
        if url.startswith("sqlite"):
            return ("sqlite", str(Path(database_in(url)).resolve()))
        from sqlalchemy.engine import make_url

        parsed = make_url(url)
        host = "localhost" if parsed.host in (None, "", "127.0.0.1", "::1") else parsed.host
        # Two schemas of one PostgreSQL database may be told apart by `?options=-csearch_path%3Doptuna`.
        options = str(parsed.query.get("options"))
        ports = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}
        backend = parsed.get_backend_name()
        return (backend, host, parsed.port or ports.get(backend), parsed.database, options)

    return key(one) == key(other)
