"""What `serve` makes of what it is given, before anything is started."""

import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import make_url

from search.cli import main
from search.cluster.head import databases, preparation
from search.cluster.head.preparation import ServeOptions, prepared, storage_of
from search.cluster.head.server import HeadSettings
from search.cluster.head.servers import mlflow_server
from search.cluster.head.servers.optuna_dashboard import guarded
from search.cluster.head.start import servers_of
from search.cluster.head.supervisor_lock import (
    AlreadyRunning,
    only_supervisor,
    status,
    stop,
    supervisor,
    write_status,
)
from search.errors import InputError
from search.file.values import same_database
from search.machine.service import Service, write_service
from search.machine.state_folder import HOME_VARIABLE

ROOT = Path(__file__).parents[2]
URL = "postgresql+psycopg://me:pass-word@db.example/searches"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    monkeypatch.delenv(databases.VARIABLE, raising=False)
    return tmp_path


def service(study_url: str) -> Service:
    return Service(
        storage="/s", study_url=study_url, mlflow_uri="http://x", mlflow_username="admin", mlflow_password="p"
    )


def options(**changes: Any) -> ServeOptions:
    return ServeOptions(
        **{"storage": None, "mlflow_port": 0, "dashboard_port": 0, "allow_root": True, **changes}
    )


def test_without_a_url_there_are_three_sqlite_files_and_the_study_is_ready_for_two_searches(
    state: Path,
) -> None:
    urls = databases.prepare(None, state)
    assert len({urls.study, urls.mlflow, urls.auth}) == 3
    assert databases.VARIABLE in databases.shown(urls.study)
    engine = create_engine(urls.study)
    assert "trials" in inspect(engine).get_table_names()
    engine.dispose()


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "postgresql", "postgres"])
def test_study_and_mlflow_never_share_a_schema(scheme: str) -> None:
    base = databases.parsed(URL.replace("postgresql+psycopg", scheme))
    assert base.drivername == "postgresql+psycopg"
    study, mlflow = (databases.in_schema(base, schema) for schema in ("one", "two"))
    assert not same_database(study, mlflow)
    assert make_url(study).query["options"] == "-csearch_path=one"
    assert make_url(study).password == "pass-word"


def test_options_of_the_users_own_are_kept() -> None:
    base = databases.parsed(f"{URL}?sslmode=require&options=-cstatement_timeout%3D5s")
    found = make_url(databases.in_schema(base, "one")).query
    assert found["sslmode"] == "require"
    assert found["options"] == "-cstatement_timeout=5s -csearch_path=one"


@pytest.mark.parametrize(
    "url",
    [
        "pass-word",
        "mysql://me:pass-word@host/db",
        "sqlite:///x.db",
        "postgresql://me:pass-word@host",
        "mysql://me@host/db?password=pass-word",
        "mysql://me:x@pass-word@host/db",
        "://@:x",
    ],
)
def test_what_is_no_postgresql_is_refused_without_repeating_the_password(url: str) -> None:
    with pytest.raises(InputError, match=r"Example: postgresql\+psycopg://") as caught:
        databases.parsed(url)
    assert "pass-word" not in str(caught.value)


def test_a_driver_that_is_not_installed_is_named() -> None:
    with pytest.raises(
        InputError, match=r"driver .* not installed \(psycopg2\)\. Write postgresql\+psycopg://"
    ):
        databases.prepare(URL.replace("+psycopg", "+psycopg2"), Path())


def test_a_database_that_is_shown_has_no_password() -> None:
    shown = databases.shown(f"{URL}?options=-csearch_path%3Done&connect_timeout=10")
    assert shown == "PostgreSQL postgresql+psycopg://me:***@db.example/searches"
    assert (
        databases.shown("postgresql+psycopg://u@h/d?password=pass-word")
        == "PostgreSQL postgresql+psycopg://u@h/d"
    )


def test_the_url_comes_from_the_environment_else_from_a_private_file(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert databases.given_url(state) is None
    path = state / "database-url"
    path.write_text(f"{URL}\n")
    path.chmod(0o644)
    with pytest.raises(InputError, match="chmod 600"):
        databases.given_url(state)
    path.chmod(0o600)
    assert databases.given_url(state) == URL
    monkeypatch.setenv(databases.VARIABLE, "postgresql://other")
    assert databases.given_url(state) == "postgresql://other"


def test_a_head_with_a_database_does_not_fall_back_to_files_by_itself(state: Path) -> None:
    write_service(service(URL))
    with pytest.raises(InputError, match=r"me:\*\*\*@db\.example/searches, but none is named now"):
        prepared(options(), state)


@pytest.mark.parametrize("option", ["--port", "--dashboard-port"])
def test_a_port_that_is_taken_is_named_with_its_option(option: str, state: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        field = "mlflow_port" if option == "--port" else "dashboard_port"
        with pytest.raises(
            InputError, match=rf"port {port} of 127\.0\.0\.1 .* Choose another with {option}$"
        ):
            prepared(options(**{field: port}), state)


def test_the_storage_stays_where_it_was_unless_another_is_named(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation, "in_own_process", lambda work: work())  # a process takes seconds
    write_service(service(f"sqlite:///{state / 'study.db'}"))
    settings, found = prepared(options(storage=str(state / "mine")), state)
    assert (found.storage, found.mlflow_password) == (str(state / "mine"), "p")
    write_service(found)
    _, again = prepared(options(), state)
    assert again == found
    assert settings.artifacts == (state / "mine" / "mlflow-artifacts").as_uri()
    assert (state / "mine" / "mlflow-artifacts").is_dir()


@pytest.mark.parametrize(
    ("given", "kept"),
    [("/mnt/runs", "/mnt/runs"), ("s3://bucket/runs/", "s3://bucket/runs"), (None, "{state}/runs")],
)
def test_the_storage_is_a_folder_or_a_bucket(given: str | None, kept: str, state: Path) -> None:
    assert storage_of(given, state) == kept.format(state=state)


@pytest.mark.parametrize("given", ["http://host/x", "file:///x", "a\nb"])
def test_any_other_storage_is_refused(given: str, state: Path) -> None:
    with pytest.raises(InputError, match="--storage must be"):
        storage_of(given, state)


def test_root_must_say_that_it_means_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for arguments in (["serve"], ["serve", "--detach"]):
        assert main(arguments) == 2
        assert "must not run as root" in capsys.readouterr().err


def test_nothing_that_runs_is_nothing_to_stop(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--stop"]) == 0
    assert capsys.readouterr().out == "No service runs here.\n"


def test_one_supervisor_holds_the_state_folder_and_says_how_its_servers_are(state: Path) -> None:
    assert supervisor(state) is None
    with only_supervisor(state):
        assert supervisor(state) == os.getpid()
        assert status(state) is None
        write_status(state, {"mlflow": {"state": "healthy"}})
        found = status(state)
        assert found is not None
        assert found["parts"] == {"mlflow": {"state": "healthy"}}
        with pytest.raises(AlreadyRunning), only_supervisor(state):
            pass
    assert supervisor(state) is None
    assert status(state) is None
    assert not stop(state)


def test_looking_for_the_supervisor_never_keeps_one_from_starting(state: Path) -> None:
    code = (
        "import pathlib, sys; from search.cluster.head.supervisor_lock import supervisor\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "print('looking', flush=True)\n"
        "while True: supervisor(folder)"
    )
    command = [sys.executable, "-c", code, str(state)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as looking:
        assert looking.stdout is not None
        assert looking.stdout.readline() == "looking\n"
        try:
            for _ in range(300):
                with only_supervisor(state):
                    pass
                time.sleep(0.001)
        finally:
            looking.kill()


def test_what_a_killed_supervisor_said_is_not_believed(state: Path) -> None:
    write_status(state, {"mlflow": {"state": "healthy"}})
    assert status(state) is None
    with only_supervisor(state):  # with the same process id, as the next one in a container
        assert status(state) is None


def test_the_servers_are_told_no_secret_by_arguments_and_show_none(state: Path) -> None:
    settings = HeadSettings(
        folder=state,
        study_url=URL,
        mlflow_url=f"{URL}?options=-csearch_path%3Dm",
        auth_url=f"{URL}?options=-csearch_path%3Da",
        artifacts="file:///artifacts",
        username="admin",
        password="mlflow-pass-word",
        mlflow_port=5000,
        dashboard_port=8080,
    )
    servers = servers_of(settings)
    assert {server.name for server in servers} == {"mlflow", "optuna-dashboard"}
    for server in servers:
        assert "pass-word" not in " ".join(server.command)
        assert "pass-word" not in repr(server)
        assert server.url.startswith("http://127.0.0.1:")
    assert "pass-word" not in repr(settings)
    environment = mlflow_server.server(settings).environment
    assert environment["MLFLOW_HOST"] == "127.0.0.1"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    config = Path(environment["MLFLOW_AUTH_CONFIG_PATH"])
    assert config.stat().st_mode & 0o777 == 0o600
    parser = ConfigParser()
    parser.read(config)
    assert parser["mlflow"]["database_uri"] == settings.auth_url
    assert parser["mlflow"]["default_permission"] == "NO_PERMISSIONS"


@pytest.mark.parametrize(
    ("environ", "answer"),
    [
        ({"HTTP_AUTHORIZATION": "Basic Z29vZA=="}, "200 APP"),
        ({}, "401 Unauthorized"),
        ({"HTTP_AUTHORIZATION": "Basic YmFk"}, "401 Unauthorized"),
        ({"PATH_INFO": "/health"}, "200 OK"),
        ({"HTTP_AUTHORIZATION": "Basic Z29vZA==", "HTTP_HOST": "evil.example:8080"}, "403 Forbidden"),
        ({"HTTP_AUTHORIZATION": "Basic Z29vZA==", "HTTP_HOST": "localhost"}, "403 Forbidden"),
        ({"HTTP_AUTHORIZATION": "Basic Z29vZA==", "HTTP_ORIGIN": "http://evil.example"}, "403 Forbidden"),
        ({"HTTP_AUTHORIZATION": "Basic Z29vZA==", "HTTP_ORIGIN": "null"}, "403 Forbidden"),
        ({"HTTP_AUTHORIZATION": "Basic Z29vZA==", "HTTP_ORIGIN": "http://localhost:8080"}, "200 APP"),
    ],
)
def test_the_dashboard_answers_only_who_has_the_password_and_no_foreign_page(
    environ: dict[str, str], answer: str
) -> None:
    said: list[str] = []

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 APP", [])
        return []

    guard = guarded(application, 8080, "Z29vZA==")
    list(
        guard(
            {"HTTP_HOST": "127.0.0.1:8080", "PATH_INFO": "/", **environ},
            lambda status, headers: said.append(status),
        )
    )
    assert said == [answer]


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Any:
    handlers = logging.root.handlers[:]
    yield
    logging.root.handlers[:] = handlers
