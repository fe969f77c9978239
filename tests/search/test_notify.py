"""How a run ended is told to a web address, and nothing depends on whether that answers."""

import json
import logging
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from search import cli
from search.errors import OperationFailed
from search.machine.notice import posted, without_addresses
from search.running.outcome import Outcome
from search.running.search import Search
from tests.version_0_2_0 import copied_storage

SECRET = "T0-B0-webhook"


@dataclass
class Chat:
    """What a webhook was told. answer: its status."""

    url: str
    answer: int = 200
    told: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture
def chat() -> Iterator[Chat]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            assert self.headers["Content-Type"] == "application/json"
            self.send_response(found.answer)
            self.send_header("Location", f"{found.url}/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Chat(f"http://127.0.0.1:{server.server_address[1]}/{SECRET}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def logs() -> Iterator[None]:
    """A run takes the log over; here only for the test."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    for handler in [handler for handler in root.handlers if handler not in before]:
        handler.close()
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture
def folder(tmp_path: Path, logs: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a search that is over; a run of it finds it so."""
    storage = copied_storage(tmp_path / "storage")

    def over(search: Search, **_: object) -> Outcome:
        return Outcome(replace(search.result(), finished=True), already_finished=True)

    monkeypatch.setattr("search.running.runner.run_search", over)
    return storage / "old"


@pytest.mark.parametrize(
    "line",
    [
        ["resume", "old"],
        ["extend", "old", "--trials", "1"],
        ["confirm", "old", "--top", "1"],
        ["hold", "old", "--at", "training: {total_steps: 2x}"],
        ["compare", "FILE", "--presets", "ict"],
        ["run", "FILE"],
    ],
)
def test_every_verb_that_runs_a_search_tells_its_end(
    line: list[str], folder: Path, chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[Search] = []

    def over(search: Search, **_: object) -> Outcome:
        ended.append(search)
        known = Search.open("old", str(folder.parent)).result()
        return Outcome(replace(known, finished=True), already_finished=True)

    monkeypatch.setattr("search.running.runner.run_search", over)
    words = [str(folder / "search.yaml") if word == "FILE" else word for word in line]
    address = folder.parent / "address"
    address.write_text(f"{chat.url}\n")
    assert cli.main([*words, "--storage", str(folder.parent), "--notify", str(address)]) == 0
    (told,), (search,) = chat.told, ended
    assert (told["name"], told["state"]) == (search.name, "finished")
    kept = [path for path in folder.parent.rglob("*") if path.is_file() and path != address]
    assert [path for path in kept if SECRET.encode() in path.read_bytes()] == []


def run(folder: Path, url: str) -> int:
    return cli.main(["run", str(folder / "search.yaml"), "--storage", str(folder.parent), "--notify", url])


def test_the_conclusion_is_posted(folder: Path, chat: Chat, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, chat.url) == 0
    (told,) = chat.told
    assert told["text"] == f"Search old is finished: {told['conclusion']}"
    assert told["conclusion"] in capsys.readouterr().out
    assert {key: told[key] for key in ("name", "state", "folder")} == {
        **{"name": "old", "state": "finished", "folder": str(folder)}
    }


@pytest.mark.parametrize(
    ("error", "code", "state"),
    [
        (OperationFailed("no Ray", "more"), 1, "failed"),
        (KeyboardInterrupt(), 130, "stopped"),
        (KeyError("x"), 1, "failed"),
    ],
)
def test_so_is_a_failure(
    folder: Path, chat: Chat, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, state: str
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("search.running.runner.run_search", failing)
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["search", "run", "--notify", chat.url])
    assert run(folder, chat.url) == code
    (told,) = chat.told
    assert told["state"] == state
    kept = [path.read_text() for path in folder.rglob("*.log")]
    assert kept and not any(chat.url in text for text in kept)  # its file of a traceback has the command line
    assert "\n" not in told["text"] and told["text"].startswith("Search old ")


@pytest.mark.parametrize("answer", [500, 404, 302])
def test_a_post_that_fails_is_one_line_and_changes_nothing(
    folder: Path, chat: Chat, answer: int, capsys: pytest.CaptureFixture[str]
) -> None:
    chat.answer = answer
    assert run(folder, chat.url) == 0
    line = f"how the search ended could not be told: it answered HTTP {answer}"
    assert capsys.readouterr().err.splitlines() == [f"warning: {line}"]
    log = (folder / "search.log").read_text()
    assert line in log and SECRET not in log
    assert len(chat.told) == 1


def test_nobody_there_and_nobody_who_answers_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/secret"
        monkeypatch.setattr("search.machine.notice.SILENCE_SECONDS", 0.2)
        assert posted(url, {}) == "no answer: TimeoutError"
        monkeypatch.setattr("search.machine.notice.SILENCE_SECONDS", 30.0)
        monkeypatch.setattr("search.machine.notice.MOST_SECONDS", 0.2)
        assert posted(url, {}) == "no answer within 0.2 s"
    said = posted(url, {})
    assert said is not None and said.startswith("no connection: ") and "secret" not in said


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.slack.com/x",
        "ftp://host/x",
        "http://",
        "http://host:x/",
        "http://ho st/",
        "http://h/\n",
        "http://h/ä",
    ],
)
def test_what_is_no_address_is_refused(url: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, url) == 2
    assert capsys.readouterr().err == (
        "error: --notify needs an address such as https://HOST/PATH, or a file that holds one\n"
    )


def test_a_dry_run_has_no_end_to_tell(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", str(folder / "search.yaml"), "--dry-run", "--notify", "http://127.0.0.1:1/"]) == 2
    assert "--notify has no effect with --dry-run" in capsys.readouterr().err


@pytest.mark.parametrize("line", [["--notify", "http://h/secret"], ["--notify=http://h/secret"]])
def test_a_command_line_is_kept_without_the_address(line: list[str]) -> None:
    kept = " ".join(without_addresses(["python", "run", *line, "--json"]))
    assert "secret" not in kept and kept.startswith("python run --notify") and kept.endswith(" --json")
