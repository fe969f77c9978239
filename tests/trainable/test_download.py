"""Verified downloads, against a web server on loopback that misbehaves."""

import hashlib
import logging
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from trainable.download import ATTEMPTS, download
from trainable.storage.atomic import atomic_file, write_atomically

CONTENT = bytes(range(256)) * 20
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def whole(request: BaseHTTPRequestHandler) -> None:
    """The file, or the part that was asked for."""
    start = int((request.headers.get("Range") or "bytes=0-")[6:-1])
    send(request, CONTENT[start:], status=206 if start else 200, start=start)


def send(
    request: BaseHTTPRequestHandler, body: bytes, status: int = 200, start: int = 0, claim: int | None = None
) -> None:
    request.send_response(status)
    request.send_header("Content-Length", str(len(body) if claim is None else claim))
    if status == 206:
        request.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{len(CONTENT)}")
    request.end_headers()
    request.wfile.write(body)


def cut(request: BaseHTTPRequestHandler) -> None:
    """Promises all, sends the first 1000 bytes, hangs up."""
    send(request, CONTENT[:1000], claim=len(CONTENT))


def without_ranges(request: BaseHTTPRequestHandler) -> None:
    send(request, CONTENT)


def status(code: int) -> Callable[[BaseHTTPRequestHandler], None]:
    return lambda request: send(request, b"no", status=code)


class Pauses(list[float]):
    """Takes the place of time.sleep."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def fetch(path: Path, *servers: Any, pauses: Pauses | None = None) -> Path:
    urls = [server.url for server in servers]
    return download(urls, path, SHA256, len(CONTENT), sleep=Pauses() if pauses is None else pauses)


def test_the_file_arrives_and_is_not_fetched_again(serve: Callable[..., Any], tmp_path: Path) -> None:
    server = serve(whole)
    path = tmp_path / "new" / "folder" / "file.bin"
    assert fetch(path, server).read_bytes() == CONTENT
    fetch(path, server)
    assert server.ranges == [None]
    assert [entry.name for entry in path.parent.iterdir()] == ["file.bin"]


def test_a_damaged_copy_is_fetched_again_with_a_warning(
    serve: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(CONTENT[:-1] + b"!")
    with caplog.at_level(logging.WARNING):
        fetch(path, serve(whole))
    assert path.read_bytes() == CONTENT
    assert "does not match its SHA-256" in caplog.text


def test_a_broken_transfer_goes_on_where_it_stopped(serve: Callable[..., Any], tmp_path: Path) -> None:
    server, pauses = serve(cut, whole), Pauses()
    assert fetch(tmp_path / "file.bin", server, pauses=pauses).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000-"]
    assert pauses == [2.0]


def test_a_server_that_cannot_continue_sends_all_again(serve: Callable[..., Any], tmp_path: Path) -> None:
    server = serve(cut, without_ranges)
    assert fetch(tmp_path / "file.bin", server).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000-"]


def test_a_busy_server_is_asked_again_with_growing_pauses(serve: Callable[..., Any], tmp_path: Path) -> None:
    pauses = Pauses()
    assert fetch(tmp_path / "file.bin", serve(status(503), status(429), whole), pauses=pauses).exists()
    assert pauses == [2.0, 4.0]


def test_the_next_address_is_tried_after_a_refusal(serve: Callable[..., Any], tmp_path: Path) -> None:
    gone, good = serve(status(404)), serve(whole)
    assert fetch(tmp_path / "file.bin", gone, good).read_bytes() == CONTENT
    assert len(gone.ranges) == 1  # not found is not asked again


@pytest.mark.parametrize(
    ("answer", "requests", "message"),
    [
        (status(404), 1, "HTTP 404"),
        (status(500), ATTEMPTS, "HTTP 500 Internal Server Error, 3 times"),
        (lambda request: send(request, CONTENT[::-1]), 1, "wrong content, SHA-256"),
        (lambda request: send(request, CONTENT + b"!"), 1, "wrong content, more than 5120 bytes"),
        (lambda request: send(request, CONTENT[:9]), ATTEMPTS, "9 of 5120 bytes arrived, 3 times"),
        (lambda request: request.connection.close(), ATTEMPTS, "3 times"),
    ],
    ids=["missing", "broken server", "other content", "too long", "too short", "hangs up"],
)
def test_failure_is_one_line_with_the_remedy_and_leaves_nothing(
    answer: Any, requests: int, message: str, serve: Callable[..., Any], tmp_path: Path
) -> None:
    server = serve(answer)
    with pytest.raises(ValueError, match=message) as raised:
        fetch(tmp_path / "file.bin", server)
    assert len(server.ranges) == requests
    assert "\n" not in str(raised.value)
    assert str(raised.value).endswith(f"Put the file with SHA-256 {SHA256} at {tmp_path / 'file.bin'}.")
    assert not list(tmp_path.iterdir())


def test_without_a_network_it_says_so_at_once(serve: Callable[..., Any], tmp_path: Path) -> None:
    server, pauses = serve(whole), Pauses()
    server.close()
    server.close = lambda: None
    with pytest.raises(ValueError, match=r"file.bin could not be downloaded .*no connection"):
        fetch(tmp_path / "file.bin", server, pauses=pauses)
    assert pauses == []


def test_a_folder_that_cannot_be_written_is_named(serve: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ValueError, match=r"file.bin cannot be written to .*"):
        fetch(tmp_path / "file" / "file.bin", serve(whole))


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_atomically(path, b"old")

    def interrupted() -> None:
        with atomic_file(path) as file:
            file.write(b"half of the ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
