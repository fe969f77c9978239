"""Locations of folders: what they may look like, what is below them, what an error of the library means."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from trainable.storage import local as storage
from trainable.storage.bucket import BucketFolder
from trainable.storage.bucket_url import BucketUrl
from trainable.storage.folder import StorageError
from trainable.storage.local import LocalFolder
from trainable.storage.location import is_bucket, open_folder, under


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket",
        "s3://my.bucket-1/runs/of/2026",
        "s3://bucket/runs?region=eu-central-1",
        "s3://bucket/runs?endpoint_override=127.0.0.1:9000&region=us-east-1&scheme=http",
        "gs://bucket/runs",
    ],
)
def test_a_url_reads_back_as_itself(url: str) -> None:
    assert str(BucketUrl.parse(url)) == url
    assert open_folder(url).location == url  # nothing is asked of a server yet


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("hdfs://host/runs", "must be a folder, s3://BUCKET/PATH or gs://BUCKET/PATH, but got hdfs"),
        ("S3://bucket/runs", "but got S3://"),
        ("s3:///runs", "must name a bucket"),
        ("s3://Bucket/runs", "must name a bucket"),
        ("s3://b/runs", "must name a bucket"),
        ("s3://bucket/a//b", "but got '' in it"),
        ("s3://bucket/../b", "but got '..' in it"),
        ("s3://bucket/a b", "but got 'a b' in it"),
        ("s3://bucket/a%20b", "but got 'a%20b' in it"),
        ("s3://bucket/a#b", "must be without #"),
        ("s3://bucket/a?regio=x", "unknown option 'regio' behind its ?. Known for s3://: region"),
        ("s3://bucket/a?region", "cannot be read as a URL"),
        ("s3://bucket/a?scheme=ftp", "option scheme that cannot be used: 'ftp'"),
        ("s3://bucket/a?endpoint_override=http://me:pw@host", "option endpoint_override that cannot be used"),
        ("gs://bucket/a?region=eu", "Known for gs://: none"),
        ("s3://[bucket/a", "cannot be read as a URL"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused(url: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        BucketUrl.parse(url)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIAEXAMPLE:hunter2@bucket/runs",
        "gs://hunter2@bucket/runs",
        "s3://bucket/runs?access_key=AKIA&secret_key=hunter2",
        "s3://bucket/runs?session_token=hunter2",
        "s3://bucket/runs?X-Amz-Signature=hunter2",
        "gs://bucket/runs?password=hunter2",
    ],
)
def test_a_url_with_a_secret_is_refused_and_the_secret_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="must not hold keys or passwords") as caught:
        BucketUrl.parse(url)
    assert "hunter2" not in str(caught.value)
    assert "AKIA" not in str(caught.value)


def test_what_is_below_a_location() -> None:
    assert under("runs/toy", "trials", "00001") == "runs/toy/trials/00001"
    assert under("s3://bucket/runs/", "toy") == "s3://bucket/runs/toy"
    assert under("s3://bucket", "toy") == "s3://bucket/toy"
    assert under("s3://bucket/runs?region=eu-west-1", "toy", "a") == "s3://bucket/runs/toy/a?region=eu-west-1"
    assert isinstance(open_folder("runs/s3"), LocalFolder)
    assert not is_bucket("/runs/a:b//c")
    assert is_bucket("file:///runs")


class Failing:
    """A file system whose calls fail with each error in turn, then succeed."""

    def __init__(self, *errors: Exception):
        self.errors = list(errors)
        self.num_calls = 0

    def delete_file(self, path: str) -> None:
        self.num_calls += 1
        if self.errors:
            raise self.errors.pop(0)


NETWORK = OSError(
    "When deleting: AWS Error NETWORK_CONNECTION during DeleteObject operation: curlCode: 7, Could not connect"
)
DENIED = OSError(
    "When uploading object: AWS Error ACCESS_DENIED during PutObject operation: Access Denied (Request ID: 3rKA)"
)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (NETWORK, "the server does not answer"),
        (DENIED, "this machine may not, or has no credentials"),
        (OSError("AWS Error NO_SUCH_BUCKET during PutObject operation"), "there is no such bucket"),
        (OSError("AWS Error INVALID_ACCESS_KEY_ID during PutObject"), "are not accepted"),
        (OSError("AWS Error SIGNATURE_DOES_NOT_MATCH during PutObject"), "are not accepted"),
        (OSError("AWS Error UNKNOWN (HTTP status 301) during HeadBucket"), "in another region"),
        (OSError("google::cloud::Status(PERMISSION_DENIED: no)"), "may not"),
        (OSError("google::cloud::Status(UNAUTHENTICATED: no)"), "are not accepted"),
        (OSError("google::cloud::Status(NOT_FOUND: The bucket does not exist)"), "no such bucket"),
        (OSError("AWS Error SLOW_DOWN during PutObject operation: less (Request ID: 3rKA)"), "SLOW_DOWN"),
    ],
)
def test_an_error_of_the_library_becomes_one_line(error: Exception, message: str) -> None:
    folder = BucketFolder("s3://bucket/a", "bucket/a", lambda: Failing(error))
    with pytest.raises(StorageError) as caught:
        folder.remove("x")
    text = str(caught.value)
    assert text.startswith("s3://bucket/a cannot be cleared: ")
    assert message in text
    assert "Request ID" not in text


def test_only_what_may_pass_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("trainable.storage.folder.time.sleep", pauses.append)
    system = Failing(NETWORK, OSError("AWS Error SLOW_DOWN"), NETWORK)
    BucketFolder("s3://bucket/a", "bucket/a", lambda: system, patience_seconds=600).remove("x")
    assert (system.num_calls, pauses) == (4, [1.0, 2.0, 4.0])
    system = Failing(DENIED)
    with pytest.raises(StorageError):
        BucketFolder("s3://bucket/a", "bucket/a", lambda: system, patience_seconds=600).remove("x")
    assert system.num_calls == 1
    system = Failing(NETWORK)
    with pytest.raises(StorageError):
        BucketFolder("s3://bucket/a", "bucket/a", lambda: system).remove("x")
    assert len(pauses) == 3


# A folder whose file system has trouble


def broken(number: int, times: int) -> Callable[..., None]:
    """Stands in for writing a file: fails so often, then does nothing."""
    left = [OSError(number, os.strerror(number))] * times

    def write(path: Path, data: bytes) -> None:
        if left:
            raise left.pop()

    return write


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
def test_a_folder_that_is_away_for_a_while_is_waited_for(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("trainable.storage.folder.time.sleep", pauses.append)
    monkeypatch.setattr(storage, "write_atomically", broken(number, times=2))
    open_folder(tmp_path, patience_seconds=600).write("a", b"")
    assert pauses == [1.0, 2.0]


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EIO, "Is it mounted on this machine"),
        (errno.EACCES, "the right"),
        (errno.EROFS, "the right"),
        (errno.ENOSPC, "Make room there"),
    ],
)
def test_an_error_of_the_file_system_is_one_line(
    number: int, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "write_atomically", broken(number, times=1))
    patience = 0 if number == errno.EIO else 600  # what lasts is not waited for
    with pytest.raises(StorageError) as caught:
        open_folder(tmp_path, patience_seconds=patience).write("a", b"")
    assert str(caught.value).startswith(f"{tmp_path} cannot be written: {os.strerror(number)}. ")
    assert remedy in str(caught.value)


def test_a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for use in (LocalFolder.names, lambda folder: folder.read("a")):
        with pytest.raises(StorageError, match=r"file cannot be (listed|read): Not a directory"):
            use(LocalFolder(str(tmp_path / "file")))
    assert LocalFolder(str(tmp_path / "missing")).names(below=True) == []


def test_names_of_a_folder_and_of_those_below(tmp_path: Path) -> None:
    folder = LocalFolder(str(tmp_path))
    for name in ("b", "a", ".hidden", "c/d", "c/e/f"):
        folder.write(name, b"")
    assert folder.names() == [".hidden", "a", "b"]
    assert folder.names(below=True) == [".hidden", "a", "b", "c/d", "c/e/f"]
