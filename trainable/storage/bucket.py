"""Folders in a bucket of S3, or of what speaks its language, or of Google Cloud Storage.

Credentials are found where the libraries look by themselves (environment, ~/.aws, the machine's role; on Google Cloud
the application default credentials). They are never part of a URL, which is logged, shown and sent around.
"""

import datetime
import functools
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainable.storage.bucket_url import BucketUrl
from trainable.storage.folder import Folder, Trouble

# A server that accepts and says nothing is given up after about 2 x 15 s.
CONNECT_SECONDS, REQUEST_SECONDS, ATTEMPTS = 5.0, 15.0, 2
_PIECE_BYTES = 8 * 2**20  # of a file that is not held in memory


class BucketFolder(Folder):
    """A folder in a bucket. filesystem: makes one of pyarrow's; path: in that, the bucket's name first."""

    is_remote = True

    def __init__(
        self, location: str, path: str, filesystem: Callable[[], Any], patience_seconds: float = 0.0
    ):
        super().__init__(location, patience_seconds)
        self._path = path
        self._filesystem = filesystem

    @classmethod
    def at(cls, url: BucketUrl, patience_seconds: float = 0.0) -> "BucketFolder":
        """The folder that a URL names. Nothing is asked of the server yet."""
        whole = replace(url, path="")
        path = f"{url.bucket}/{url.path}".rstrip("/")
        return cls(str(url), path, lambda: _filesystem(whole), patience_seconds)

    def names(self, *, below: bool = False) -> list[str]:
        from pyarrow import fs

        selector = fs.FileSelector(self._path, allow_not_found=True, recursive=below)
        found = self._call("listed", lambda: self._filesystem().get_file_info(selector))
        # A path that ends in / marks a folder; pyarrow leaves such objects behind when it removes the last file.
        return sorted(info.path[len(self._path) + 1 :] for info in found if info.type == fs.FileType.File)

    def read(self, name: str) -> bytes | None:
        def get() -> bytes | None:
            try:
                with self._filesystem().open_input_stream(f"{self._path}/{name}", compression=None) as stream:
                    data: bytes = stream.read()
                    return data
            except FileNotFoundError:
                return None

        return self._call("read", get)

    def write(self, name: str, data: bytes) -> None:
        # A broken upload leaves no object: an object appears when its upload is completed.
        def put() -> None:
            with self._filesystem().open_output_stream(f"{self._path}/{name}", compression=None) as stream:
                stream.write(data)

        self._call("written", put)

    def download(self, name: str, path: Path) -> bool:
        """Write the object, however large, to a file; False where there is none. Raises StorageError."""

        def get() -> bool:
            try:
                stream = self._filesystem().open_input_stream(f"{self._path}/{name}", compression=None)
            except FileNotFoundError:
                return False
            with stream, path.open("wb") as file:
                shutil.copyfileobj(stream, file, _PIECE_BYTES)
            return True

        return self._call("read", get)

    def upload(self, name: str, path: Path) -> None:
        """The object is what the file holds. Raises StorageError, FileNotFoundError where there is no file."""
        path.stat()

        def put() -> None:
            with (
                path.open("rb") as file,
                self._filesystem().open_output_stream(f"{self._path}/{name}", compression=None) as stream,
            ):
                shutil.copyfileobj(file, stream, _PIECE_BYTES)

        self._call("written", put)

    def remove(self, name: str) -> None:
        def delete() -> None:
            try:
                self._filesystem().delete_file(f"{self._path}/{name}")
            except FileNotFoundError:
                return

        self._call("cleared", delete)

    def check_there(self) -> None:
        from pyarrow import fs

        bucket = self._path.partition("/")[0]

        def look() -> None:
            if self._filesystem().get_file_info(bucket).type == fs.FileType.NotFound:
                raise OSError("there is no such bucket")

        self._call("read", look)

    def _trouble(self, error: Exception) -> Trouble:
        text = " ".join(str(error).split())
        for words, trouble in _CAUSES:
            if re.search(words, text):
                return trouble
        detail = re.sub(r"\(Request ID: \S+\)", "", text.rpartition("AWS Error ")[2]).strip()[:200]
        return Trouble(detail or type(error).__name__, "Try again later", lasting=False)


@functools.lru_cache(maxsize=8)
def _filesystem(url: BucketUrl) -> Any:
    """pyarrow's view of a bucket. Without a region, and on Amazon's own servers, asks where the bucket is."""
    from pyarrow import fs

    if url.kind == "gs":
        limit = datetime.timedelta(seconds=ATTEMPTS * REQUEST_SECONDS)
        return fs.GcsFileSystem(retry_time_limit=limit)
    options = dict(url.options)
    elsewhere = {"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"} & os.environ.keys()
    if "region" not in options and "endpoint_override" not in options and not elsewhere:
        options["region"] = fs.resolve_s3_region(url.bucket)
    return fs.S3FileSystem(
        **options,
        connect_timeout=CONNECT_SECONDS,
        request_timeout=REQUEST_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        allow_delayed_open=True,  # one request for a small file instead of three
    )


# (words in the library's message, what that means); the first that fits counts.
_CAUSES = (
    (
        r"NO_SUCH_BUCKET|no such bucket|bucket does not exist|Bucket '.*' not found|HeadBucket.*No response body"
        r"|NOT_FOUND",
        Trouble(
            "there is no such bucket",
            "Make it, or correct storage.path",
            lasting=True,
        ),
    ),
    (
        r"INVALID_ACCESS_KEY_ID|INVALID_CLIENT_TOKEN_ID|UNRECOGNIZED_CLIENT|SIGNATURE|InvalidToken|ExpiredToken"
        r"|REQUEST_TIME_TOO_SKEWED|UNAUTHENTICATED|OAuth2|[Cc]redentials",
        Trouble(
            "the credentials found on this machine are not accepted",
            "Look at the machine's role, AWS_ACCESS_KEY_ID and the like, ~/.aws/credentials, and its clock",
            lasting=True,
        ),
    ),
    (
        r"ACCESS_DENIED|PERMISSION_DENIED|HTTP status 403|Forbidden",
        Trouble(
            "this machine may not, or has no credentials",
            "It must be allowed to list the bucket, to get, put and delete objects (deploy/aws/storage-policy.json)",
            lasting=True,
        ),
    ),
    (
        r"PermanentRedirect|HTTP status 301|AuthorizationHeaderMalformed",
        Trouble(
            "the bucket is in another region",
            "Write the region behind the URL: ?region=REGION",
            lasting=True,
        ),
    ),
    (
        r"NETWORK_CONNECTION|curlCode|UNAVAILABLE|Could not resolve|DEADLINE_EXCEEDED",
        Trouble(
            "the server does not answer",
            "Is the address right, and may this machine reach it?",
            lasting=False,
        ),
    ),
)
