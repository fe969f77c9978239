"""Folders of this machine in which scripts write where the trials' storage is a bucket, and the way to it and back.

A script writes files as it likes, a bucket takes whole objects. So a trial's folder is filled from the bucket when the
trial begins here, and sent to it when a rung is reported, about every minute in between, and when the script has ended.
"""

import fcntl
import logging
import math
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from trainable.background import Background
from trainable.storage.bucket import BucketFolder
from trainable.storage.bucket_url import BucketUrl
from trainable.storage.folder import StorageError
from trainable.storage.script_checkpoints import CHECKPOINTS
from trainable.task import READ_FILE, REPORTS_FILE

SEND_SECONDS = 60.0
PACKED_CODE = "code.tar"
_PREFIX = "search-scripts-"
_LOCK = "lock"
_log = logging.getLogger(__name__)


def _locked(folder: Path) -> int | None:
    """A lock that goes with this process; None where another one has it, or the folder is another user's or gone."""
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def _remove_unless_used(folder: Path) -> None:
    lock = _locked(folder)
    if lock is not None:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def bucket_at(location: str, patience_seconds: float) -> BucketFolder:
    return BucketFolder.at(BucketUrl.parse(location), patience_seconds)


class Mirror:
    """A trial's folder here, and its place in the bucket.

    location: in the bucket. patience_seconds: how long a server that does not answer is asked. folder: here, in a
    temporary folder of this process; what processes that are gone have left is removed when it is made.
    """

    def __init__(self, location: str, patience_seconds: float):
        root = Path(tempfile.gettempdir())
        for left in root.glob(f"{_PREFIX}*"):
            _remove_unless_used(left)
        self._scratch = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
        self._lock = _locked(self._scratch)
        self.folder = self._scratch / "trial"
        self._location, self._patience = location, patience_seconds
        self._bucket = bucket_at(location, patience_seconds)
        self._sent: dict[str, tuple[int, int, int]] = {}  # what a file was when it was sent, or fetched
        self._behind = Background("script-files")
        self._send_at = math.inf

    def code(self, location: str) -> Path:
        """The folder of the code that is packed in the bucket at `location`. Raises StorageError."""
        folder, packed = self._scratch / "code", self._scratch / PACKED_CODE
        if not folder.is_dir():
            if not bucket_at(location, self._patience).download(PACKED_CODE, packed):
                raise StorageError(f"{location} has no {PACKED_CODE}: it was removed. Run the search again")
            with tarfile.open(packed) as archive:
                archive.extractall(folder, filter="data")
        return folder

    def fetch(self) -> None:
        """Have here what is there; once. Raises StorageError."""
        self.folder.mkdir()
        for name in self._bucket.names(below=True):
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if self._bucket.download(name, path):
                self._sent[name] = _state(path)
        self._send_at = time.monotonic() + SEND_SECONDS

    def send_now(self) -> None:
        """Have there what is here. Raises StorageError."""
        self._behind.join()
        self._send(self._bucket)

    def send_behind(self) -> None:
        """The same now and then, on a thread. Raises what it raised before."""
        if time.monotonic() > self._send_at and not self._behind.busy:
            self._send_at = time.monotonic() + SEND_SECONDS
            self._behind.start(lambda: self._send(self._bucket))

    def close(self) -> None:
        """Send what is here for the last time, if the server answers, and remove it here."""
        self._behind.forget()
        try:
            self._send(bucket_at(self._location, 0.0))
        except StorageError as error:
            _log.warning("the last minute of a script is not kept: %s", error)
        shutil.rmtree(self._scratch, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)

    def _send(self, bucket: BucketFolder) -> None:
        """Reports before the checkpoints: one that is there has all reports from before it.

        Checkpoints are sent as they are now, whatever the script does to them meanwhile, since it renames whole ones.
        """
        found = dict(self._files())
        changed = [name for name, state in found.items() if self._sent.get(name) != state]
        held = self._scratch / "sending"
        try:
            for name in filter(_is_checkpoint, changed):
                (held / name).parent.mkdir(parents=True, exist_ok=True)
                with suppress(FileNotFoundError):
                    os.link(self.folder / name, held / name)
            for name in sorted(changed, key=_order):
                path = (held if _is_checkpoint(name) else self.folder) / name
                with suppress(FileNotFoundError):
                    bucket.upload(name, path)
                    self._sent[name] = found[name]
            for name in self._sent.keys() - found.keys():
                bucket.remove(name)
                del self._sent[name]
        finally:
            shutil.rmtree(held, ignore_errors=True)

    def _files(self) -> Iterator[tuple[str, tuple[int, int, int]]]:
        for folder, _, names in os.walk(self.folder):
            for path in (Path(folder, name) for name in names):
                with suppress(FileNotFoundError):
                    if path.is_file():
                        yield path.relative_to(self.folder).as_posix(), _state(path)


def _state(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _is_checkpoint(name: str) -> bool:
    return name.startswith(CHECKPOINTS)


def _order(name: str) -> tuple[int, str]:
    """What was read of the reports counts in the reports that are there: these come first."""
    return (0 if name == REPORTS_FILE else 1 if name == READ_FILE else 3 if _is_checkpoint(name) else 2), name
