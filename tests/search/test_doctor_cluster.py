"""`doctor --cluster`: what it makes of a head's answers, one line each with what to do."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from search.checks import cluster as cluster_checks
from search.checks import head as head_checks
from search.cli import main
from search.cluster.head.supervisor_lock import only_supervisor, write_status
from search.engine import storage_check
from search.machine.service import Service, write_service
from search.machine.state_folder import HOME_VARIABLE


class _Server(BaseHTTPRequestHandler):
    """Answers the password `good`, and everybody where `open_to_all`; with `trouble` to all."""

    open_to_all = False
    trouble: int | None = None

    def do_GET(self) -> None:
        right = f"Basic {base64.b64encode(b'admin:good').decode()}"
        allowed = self.open_to_all or self.headers.get("Authorization") == right
        self.send_response(self.trouble or (200 if allowed else 401))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    monkeypatch.setattr(head_checks, "check_nodes", lambda: iter(()))
    return tmp_path


def service(uri: str, password: str, state: Path) -> Service:
    return Service(
        storage=str(state / "storage"),
        study_url=f"sqlite:///{state / 'study.db'}",
        mlflow_uri=uri,
        mlflow_username="admin",
        mlflow_password=password,
    )


def test_mlflow_must_ask_for_the_password_and_take_ours(
    address: str, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (check,) = head_checks.check_mlflow(service(address, "good", state))
    assert (check.level, "asks for the password (401 without)" in check.message) == ("ok", True)
    (check,) = head_checks.check_mlflow(service(address, "other", state))
    assert (check.level, "refuses the password" in check.message) == ("fail", True)
    monkeypatch.setattr(_Server, "open_to_all", True)
    (check,) = head_checks.check_mlflow(service(address, "good", state))
    assert (check.level, "without a password" in check.message) == ("fail", True)
    monkeypatch.setattr(_Server, "trouble", 500)  # its database is away
    (check,) = head_checks.check_mlflow(service(address, "good", state))
    assert (check.level, "has trouble (500)" in check.message) == ("fail", True)
    assert "password" not in check.message
    assert "mlflow.log" in check.remedy
    (check,) = head_checks.check_mlflow(service("http://127.0.0.1:1", "good", state))
    assert (check.level, "does not answer" in check.message) == ("fail", True)
    assert "serve" in check.remedy


def test_a_head_without_services_says_how_to_start_them() -> None:
    (check,) = head_checks.findings()
    assert (check.name, check.level) == ("services", "fail")
    assert "search serve --detach" in check.remedy


def test_a_server_that_is_down_is_named_with_its_log(address: str, state: Path) -> None:
    write_service(service(address, "good", state))
    with only_supervisor(state):
        servers = {
            "mlflow": {"url": address, "state": "healthy", "restarts": 2},
            "optuna-dashboard": {"url": "http://x", "state": "down", "restarts": 7},
        }
        write_status(state, servers)
        checks = {check.message: check for check in head_checks.findings()}
    well, down = (next(check for text, check in checks.items() if name in text) for name in servers)
    assert (well.level, down.level) == ("ok", "fail")
    assert "restarted 2 times" in well.message
    assert "optuna-dashboard.log" in down.remedy


def test_a_file_of_passwords_that_others_may_read_is_found(address: str, state: Path) -> None:
    write_service(service(address, "good", state)).chmod(0o644)
    (check,) = head_checks.findings()
    assert (check.level, "chmod 600" in check.message) == ("fail", True)


@pytest.mark.parametrize(
    ("storage", "num_nodes", "level"), [("/", 1, "warn"), ("/", 3, "ok"), ("s3://bucket", 1, "ok")]
)
def test_a_folder_that_only_the_head_could_be_asked_about_is_a_warning(
    storage: str, num_nodes: int, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_check, "check_shared", lambda location: num_nodes)
    location = storage if storage != "/" else str(tmp_path)
    check = next(head_checks.check_storage(location))
    assert (check.name, check.level) == ("storage", level)
    assert ("no other node is up" in check.message) == (level == "warn")


def test_the_head_says_before_a_search_is_submitted_whether_its_storage_can_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(head_checks, "connect", lambda: None)
    monkeypatch.setattr(storage_check, "check_shared", lambda location: asked.append(location))
    file = tmp_path / "toy.yaml"
    for path, code in ((tmp_path / "new", 0), ("s3://bucket/runs", 0), (file / "runs", 2)):
        file.write_text(f"name: toy\ndata: digits\nstorage: {{path: '{path}'}}\n")
        assert main(["doctor", str(file), "--head"]) == code
    assert asked == [str(tmp_path / "new"), "s3://bucket/runs"]
    shown = capsys.readouterr()
    assert json.loads(shown.out.splitlines()[0]) == {"storage": str(tmp_path / "new")}
    assert shown.err.startswith(f"error: storage.path: {file}/runs cannot be used on ")


def test_the_answer_of_the_head_is_json_with_exit_code_0_whatever_is_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["doctor", "--head", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer["versions"]) == {"Ray", "Python"}
    assert answer["checks"][0]["level"] == "fail"


def test_other_versions_there_are_named() -> None:
    (same,) = cluster_checks.compared({"Ray": "2", "Python": "3"}, {"Ray": "2", "Python": "3"})
    (other,) = cluster_checks.compared({"Ray": "2", "Python": "3"}, {"Ray": "2", "Python": "4"})
    assert same.level == "ok"
    assert (other.level, other.message) == ("warn", "not the same: Python 4 there, 3 here")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--address", "http://x"], "no effect without --cluster"),
        (["--cluster", "--quick"], "leave out FILE and --quick"),
        (["--cluster", "searches/digits.yaml"], "leave out FILE and --quick"),
    ],
)
def test_options_without_effect_are_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_the_json_of_a_failed_check_has_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--cluster", "--address", "http://127.0.0.1:9", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["ok"], answer["exit_code"]) == (False, 1)
