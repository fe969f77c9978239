"""The file by which programs on the head find its services: private, strict, whole."""

import json
import os
import stat
from pathlib import Path

import pytest

from search.errors import InputError
from search.machine.service import Service, mlflow_environment, service_here, write_service
from search.machine.state_folder import HOME_VARIABLE, home

SERVICE = Service(
    storage="/mnt/search/runs",
    study_url="postgresql+psycopg://me:pass-of-study@127.0.0.1/study",
    mlflow_uri="http://127.0.0.1:5000",
    mlflow_username="admin",
    mlflow_password="pass-of-mlflow",
)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "state"))
    return tmp_path / "state"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_where_nothing_was_started_there_is_no_service(state: Path) -> None:
    assert service_here() is None
    assert not state.exists()


def test_what_is_written_is_found_and_nobody_else_may_read_it(state: Path) -> None:
    state.mkdir(mode=0o755)
    old = os.umask(0)
    try:
        path = write_service(SERVICE)
    finally:
        os.umask(old)
    assert service_here() == SERVICE
    assert (mode(path), mode(state)) == (0o600, 0o700)
    assert json.loads(path.read_text())["format"] == "schedule-search-service/1"
    assert [each.name for each in state.iterdir()] == ["service.json"]


def test_without_the_variable_it_lies_in_the_users_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HOME_VARIABLE)
    monkeypatch.setenv("HOME", "/home/someone")
    assert home() == Path("/home/someone/.schedule-search")


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o602])
def test_a_file_that_others_may_read_or_write_is_refused(bits: int) -> None:
    path = write_service(SERVICE)
    path.chmod(bits)
    with pytest.raises(InputError, match=r"for its owner alone.*chmod 600"):
        service_here()


GOOD = json.loads(json.dumps({"format": "schedule-search-service/1", **SERVICE.__dict__}))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "must be JSON with"),
        ("[1]", "must be JSON with"),
        ("\xff\xfe", "must be JSON with"),
        (json.dumps(GOOD | {"format": "other/1"}), "must be JSON with"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "storage"}), "'storage' must be a text"),
        (json.dumps(GOOD | {"mlflow_password": 1}), "'mlflow_password' must be a text"),
        (json.dumps(GOOD | {"port": 5000}), "unknown field 'port'"),
    ],
)
def test_what_serve_did_not_write_is_refused_in_one_line(content: str, said: str) -> None:
    path = write_service(SERVICE)
    path.write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=said) as caught:
        service_here()
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_service_does_not_show_its_passwords() -> None:
    assert "pass-of" not in repr(SERVICE)
    assert mlflow_environment(SERVICE) == {
        "MLFLOW_TRACKING_USERNAME": "admin",
        "MLFLOW_TRACKING_PASSWORD": "pass-of-mlflow",
    }
