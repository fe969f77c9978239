"""Where a trial keeps its files: the path of a folder that all machines share, or a URL in a bucket.

A URL is s3://BUCKET/PATH or gs://BUCKET/PATH. Files are small enough to be held in memory, and are whole or absent.
"""

import re
from pathlib import Path

from trainable.storage.bucket import BucketFolder
from trainable.storage.bucket_url import BucketUrl
from trainable.storage.folder import Folder
from trainable.storage.local import LocalFolder


def is_bucket(location: str | Path) -> bool:
    """Whether a location is a URL. All that looks like one counts, so that no typing error becomes a folder."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", str(location)) is not None


def under(location: str | Path, *names: str) -> str:
    """The location below `location`."""
    if not is_bucket(location):
        return str(Path(location, *names))
    url, mark, query = str(location).partition("?")
    return "/".join([url.rstrip("/"), *names]) + mark + query


def open_folder(location: str | Path, *, patience_seconds: float = 0.0) -> Folder:
    """The folder at a location; it need not exist. ValueError for a URL that is none.

    patience_seconds: how long a call tries again where the storage does not answer for a while.
    """
    if is_bucket(location):
        return BucketFolder.at(BucketUrl.parse(str(location)), patience_seconds)
    return LocalFolder(str(location), patience_seconds)
