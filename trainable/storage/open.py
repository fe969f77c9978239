"""Where a trial keeps its files: a folder that all machines share, or a place in a bucket (`bucket.py`).

A location is a path, or a URL s3://BUCKET/PATH or gs://BUCKET/PATH. Files are small enough to be held in memory, and
are whole or absent.
"""

from pathlib import Path

from trainable.storage.folder import Folder
from trainable.storage.local import LocalFolder
from trainable.storage.location import is_bucket


def open_folder(location: str | Path, *, patience_seconds: float = 0.0) -> Folder:
    """The folder at a location; it need not exist.

    patience_seconds: how long a call tries again where the storage does not answer for a while.
    """
    if not is_bucket(location):
        return LocalFolder(str(location), patience_seconds)
    from trainable.storage.bucket import BucketFolder
    from trainable.storage.bucket_url import BucketUrl

    return BucketFolder.at(BucketUrl.parse(str(location)), patience_seconds)
