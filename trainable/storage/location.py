"""Locations: a path of a folder, or the URL of a place in a bucket."""

import re
from pathlib import Path


def is_bucket(location: str | Path) -> bool:
    """Whether a location is a URL. All that looks like one counts, so that no typing error becomes a folder."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", str(location)) is not None


def under(location: str | Path, *names: str) -> str:
    """The location below `location`."""
    if not is_bucket(location):
        return str(Path(location, *names))
    url, mark, query = str(location).partition("?")
    return "/".join([url.rstrip("/"), *names]) + mark + query
