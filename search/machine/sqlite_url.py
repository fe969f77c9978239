"""Addresses of SQLite files. A path is never pasted into a URL: its %, ? and # would mean something else there."""

import re
from pathlib import Path
from urllib.parse import quote, unquote

from search.errors import InputError

# As SQLAlchemy reads them, whose import takes a third of the time of a command that only looks.
_URL = re.compile(r"sqlite(?:\+\w+)?://(?:/(?P<database>[^?]*))?(?:\?.*)?", re.DOTALL)


def sqlite_url(path: Path) -> str:
    """The SQLAlchemy URL of the database in the file `path`. InputError for a name that no URL can hold."""
    try:
        return f"sqlite:///{quote(str(path), safe=' +/')}"
    except UnicodeEncodeError:
        raise InputError(
            f"no database can be kept in {str(path)!r}: the name is not UTF-8. Name another folder"
        ) from None


def sqlite_file(url: str) -> Path | None:
    """The absolute path of a SQLite database, None for any other address. ValueError for one in memory."""
    if not url.startswith("sqlite"):
        return None
    database = database_in(url)
    if not database or database == ":memory:":
        raise ValueError(f"a SQLite file is needed, that other processes can open, but got {url!r}")
    return Path(database).resolve()


def database_in(url: str) -> str:
    """The path in the URL of a SQLite database as it stands there; "" where there is none."""
    match = _URL.fullmatch(url)
    return unquote((match and match["database"]) or "")


def for_mlflow(uri: str) -> str:
    """`uri` as MLflow is given it: of sqlite:///a%20b/x.db it would make the folder "a%20b" as well, unless the driver
    is named."""
    return uri.replace("sqlite:", "sqlite+pysqlite:", 1) if uri.startswith("sqlite:") else uri
