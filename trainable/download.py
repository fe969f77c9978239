"""Files from the web that are exactly what was expected, or one clear error."""

import hashlib
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from http.client import HTTPException
from io import BufferedRandom
from pathlib import Path
from typing import NamedTuple

from trainable.storage.atomic import atomic_file

logger = logging.getLogger(__name__)

CHUNK = 1 << 20  # bytes
ATTEMPTS = 3  # over all addresses, before giving up
PATIENCE_S = 2.0  # before the second attempt; twice as long before the third
TIMEOUT_S = 30.0  # of silence on the connection
_USER_AGENT = "consistency-schedule-search"
# Answers after which the same request may succeed a little later.
_PASSING = {408, 425, 429, 500, 502, 503, 504}


class Remote(NamedTuple):
    """A file of the web, and where it is kept. urls: all have the same file."""

    urls: tuple[str, ...]
    path: Path
    sha256: str
    num_bytes: int


def answers(urls: Sequence[str], timeout: float = 10.0) -> str | None:
    """None where one of the addresses offers its file now; otherwise what the last one says. Nothing is fetched."""
    fault = "no address is known"
    for url in urls:
        request = urllib.request.Request(url, headers={"User-Agent": _USER_AGENT}, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=timeout):
                return None
        except (OSError, HTTPException) as error:
            fault = f"{url}: {_fault_of(error)[0]}"
    return fault


class _Refused(Exception):
    """This address will not give the file, however often it is asked."""


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(
    urls: Sequence[str],
    path: Path,
    sha256: str,
    num_bytes: int,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """`path`, holding the file with this SHA-256 and size, fetched from the first address that has it.

    A file that is there already and fits is kept; one that does not fit is fetched again after a
    warning. Broken transfers go on where they stopped if the server can; passing faults are tried
    again, with pauses. Nothing but the verified file is ever seen under `path`. ValueError with one
    line otherwise: what failed, and where to put the file by hand.
    """
    if path.exists():
        if path.stat().st_size == num_bytes and file_sha256(path) == sha256:
            return path
        logger.warning("%s does not match its SHA-256: it is downloaded again", path)
    faults: list[str] = []
    try:
        with atomic_file(path) as file:
            for url in urls:
                fault = _fetch(url, file, sha256, num_bytes, sleep)
                if fault is None:
                    return path
                faults.append(f"{url}: {fault}")
            raise _Refused
    except _Refused:
        raise ValueError(
            f"{path.name} could not be downloaded ({'; '.join(faults)}). Put the file with SHA-256 "
            f"{sha256} at {path}."
        ) from None
    except OSError as error:
        raise ValueError(
            f"{path.name} cannot be written to {path.parent}: {error.strerror or error}"
        ) from error


def _fetch(
    url: str, file: BufferedRandom, sha256: str, num_bytes: int, sleep: Callable[[float], None]
) -> str | None:
    """None when `file` holds the verified content; otherwise why this address did not do."""
    file.seek(0)
    file.truncate()
    fault = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            sleep(PATIENCE_S * 2 ** (attempt - 1))
        try:
            _transfer(url, file, num_bytes)
        except _Refused as refusal:
            return str(refusal)
        except (ConnectionError, TimeoutError, HTTPException, urllib.error.URLError) as error:
            fault, is_passing = _fault_of(error)
            if not is_passing:
                return fault
        else:
            if file.tell() == num_bytes:
                file.seek(0)
                got = hashlib.file_digest(file, "sha256").hexdigest()
                return None if got == sha256 else f"wrong content, SHA-256 {got}"
            fault = f"{file.tell()} of {num_bytes} bytes arrived"
    return f"{fault}, {ATTEMPTS} times"


def _fault_of(error: Exception) -> tuple[str, bool]:
    """What went wrong, and whether another try may help."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        return f"HTTP {error.code} {error.reason}", error.code in _PASSING
    if isinstance(error, urllib.error.URLError):
        # No network, no such host, nobody listening: waiting would only annoy.
        is_passing = isinstance(error.reason, TimeoutError | ConnectionResetError)
        return f"no connection: {error.reason}", is_passing
    if isinstance(error, HTTPException):
        return f"broken answer: {type(error).__name__}", True
    return f"connection lost: {error}", True


def _transfer(url: str, file: BufferedRandom, num_bytes: int) -> None:
    """Appends what `file` still lacks; begins anew when the server does not continue."""
    have = file.seek(0, 2)
    request = urllib.request.Request(url, headers={"User-Agent": _USER_AGENT})
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
        if have and (
            response.status != 206
            or not response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        ):
            have = file.seek(0)
            file.truncate()
        # read1: a connection that breaks must not take the part that did arrive with it.
        while chunk := response.read1(CHUNK):
            have += len(chunk)
            if have > num_bytes:
                file.seek(0)
                file.truncate()
                raise _Refused(f"wrong content, more than {num_bytes} bytes")
            file.write(chunk)
