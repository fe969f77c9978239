"""The services of a head on a real PostgreSQL: closed, kept running, and a search that outlasts their failures."""

import base64
import contextlib
import datetime
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest

from search.decision import Decision
from search.machine.service import Service, service_here
from search.machine.state_folder import HOME_VARIABLE
from search.policy.trials import NewTrial
from search.record import Purpose, Report
from search.study.store import StudyStore
from spaces import PRESETS
from tests.integration.postgres import Postgres
from tests.integration.running import PLAIN, ROOT, free_ports, toy, until
from tests.records import record

pytestmark = pytest.mark.integration

SEARCH = toy(300, 8, PLAIN)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@dataclass
class Head:
    home: Path
    environment: dict[str, str]
    ports: list[int]

    def serve(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "search", "serve", "--json", *arguments]
        if os.geteuid() == 0:
            command.append("--allow-root")
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=200
        )

    def start(self) -> dict[str, Any]:
        ports = ["--port", str(self.ports[0]), "--dashboard-port", str(self.ports[1])]
        done = self.serve("--detach", "--storage", str(self.home / "storage"), *ports)
        assert done.returncode == 0, done.stderr + (self.home / "serve.log").read_text()
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def parts(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            found: dict[str, Any] = json.loads((self.home / "serve.json").read_text())["parts"]
            return found
        return {}

    def healthy(self) -> bool:
        states = [part["state"] for part in self.parts().values()]
        return len(states) == 2 and set(states) == {"healthy"}

    @property
    def service(self) -> Service:
        found = service_here()
        assert found is not None
        return found

    def processes(self) -> dict[int, str]:
        """Process id -> command line of everything that carries the mark of this service."""
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"SCHEDULE_SEARCH_PART={self.home}".encode() in (path / "environ").read_bytes():
                    found[int(path.name)] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        return found

    def first_process_of(self, module: str) -> int:
        return next(pid for pid, line in self.processes().items() if line.rstrip().endswith(module))


@pytest.fixture(scope="module")
def head(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    """A head whose services run."""
    home = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HOME_VARIABLE, str(home))
        environment = os.environ | {"SCHEDULE_SEARCH_DATABASE_URL": postgres.url}
        found = Head(home, environment, free_ports(2))
        try:
            assert found.start()["already_running"] is False
            yield found
        finally:
            found.serve("--stop")


def code_of(
    url: str, service: Service | None = None, host: str | None = None, origin: str | None = None
) -> int:
    """Status of a GET; with the password of `service`. origin: of the page that sends it, by POST then."""
    address, _, path = url.removeprefix("http://").partition("/")
    headers = {"Host": host} if host else {}
    if origin is not None:
        headers["Origin"] = origin
    if service is not None:
        pair = f"{service.mlflow_username}:{service.mlflow_password}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    connection = http.client.HTTPConnection(address, timeout=30)
    try:
        connection.request("GET" if origin is None else "POST", f"/{path}", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


EXPERIMENTS = "/api/2.0/mlflow/experiments/search?max_results=1"


def test_the_servers_answer_on_loopback_to_who_has_the_password(head: Head) -> None:
    mlflow, dashboard = (f"http://127.0.0.1:{port}" for port in head.ports)
    assert head.service.mlflow_uri == mlflow
    for url in (f"{mlflow}{EXPERIMENTS}", f"{mlflow}/", f"{dashboard}/api/studies"):
        assert code_of(url) == 401
    for url in (f"{mlflow}{EXPERIMENTS}", f"{dashboard}/api/studies"):
        assert code_of(url, head.service) == 200
        assert code_of(url, head.service, host="evil.example") == 403
        assert code_of(url, head.service, origin="http://evil.example") == 403
    listening = {
        int(line.split()[1].partition(":")[2], 16): line.split()[1].partition(":")[0]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    }
    assert [listening[port] for port in head.ports] == ["0100007F"] * 2


def test_study_mlflow_and_its_users_have_a_schema_each(head: Head, postgres: Postgres) -> None:
    rows = postgres.query("select schemaname, tablename from pg_tables")
    tables = {(schema.removeprefix("schedule_search_"), table) for schema, table in rows}
    assert {("study", "trials"), ("mlflow", "experiments"), ("mlflow_auth", "users")} <= tables
    assert not [table for schema, table in tables if schema == "public"]


def test_a_second_start_changes_nothing_and_another_storage_is_refused(head: Head) -> None:
    before = head.processes()
    assert head.start()["already_running"] is True
    refused = head.serve("--detach", "--storage", "/elsewhere")
    assert refused.returncode == 1
    assert "run already, with the storage" in refused.stderr
    assert head.processes() == before


def test_no_password_is_shown_to_other_users_of_the_machine(head: Head, postgres: Postgres) -> None:
    hidden = [postgres.password.encode(), head.service.mlflow_password.encode()]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            assert not [secret for secret in hidden if secret in path.read_bytes()], path
    for path in head.home.rglob("*"):
        if path.is_file() and any(secret in path.read_bytes() for secret in hidden):
            assert path.name in ("service.json", "mlflow-auth.ini")
            assert path.stat().st_mode & 0o777 == 0o600
    assert head.home.stat().st_mode & 0o777 == 0o700


def seconds_to_answers(head: Head, part: str) -> list[float]:
    """From the part's first start, then from each end of it that was noticed, to its answer: by serve.log."""
    found, since = [], None
    for line in (head.home / "serve.log").read_text().splitlines():
        match = re.match(rf"(\S+ \S+) \w+ {part} (started|ended|does not answer|answers)", line)
        if match is None:
            continue
        now = datetime.datetime.fromisoformat(match[1].replace(",", "."))
        if match[2] != "answers":
            since = since or now
        elif since is not None:
            found.append((now - since).total_seconds())
            since = None
    return found


def test_killed_parts_and_a_killed_supervisor_come_back(head: Head) -> None:
    server = head.first_process_of("search.cluster.head.servers.mlflow_server")
    os.kill(server, signal.SIGKILL)
    os.kill(head.first_process_of("search.cluster.head.servers.optuna_dashboard"), signal.SIGSTOP)  # it hangs
    until(lambda: [part["restarts"] for part in head.parts().values()] == [1, 1], 300, "a restart")
    until(head.healthy, 120, "health")
    assert server not in head.processes()
    # In half a minute, or on a machine that is busier than that in twice the time that it took at first.
    start, *back = seconds_to_answers(head, "mlflow")
    assert max(back) <= max(30.0, 2 * start), (start, back)
    supervisor = int((head.home / "serve.lock").read_text())
    old = set(head.processes())
    os.kill(supervisor, signal.SIGKILL)
    assert head.start()["already_running"] is False
    assert head.healthy()
    assert not old & set(head.processes())


class Hammer(threading.Thread):
    """Writes trial after trial into a study of its own, and notes what it was told is kept."""

    def __init__(self, url: str):
        super().__init__()
        header = {"search": {"name": "hammer"}}
        self.store = StudyStore.create(url, "hammer", header)
        self.acknowledged: list[tuple[str, int, int]] = []
        self.enough = threading.Event()
        self.error: Exception | None = None

    def run(self) -> None:
        schedule, number = PRESETS["ict"].schedule, -1
        try:
            while not self.enough.is_set():
                new = NewTrial(
                    purpose=Purpose.SEARCH,
                    schedule=schedule,
                    seed=number + 1,
                    decision=Decision("started", "proposed", {"algorithm": "random"}),
                )
                number = self.store.add(new)
                self.acknowledged.append(("added", number, 0))
                reports = [Report(step, 100.0 * number + step, 0) for step in (1, 2, 3)]
                for report in reports:
                    self.store.report(number, report)
                    self.acknowledged.append(("reported", number, report.step))
                self.store.finish(record(number, *reports, seed=number), {})
                self.acknowledged.append(("finished", number, 0))
        except Exception as error:
            self.error = error
        finally:
            self.store.close()


def write_search(folder: Path) -> Path:
    file = folder / "toy.yaml"
    file.write_text(
        f"{SEARCH}\nstorage: {{path: {folder / 'runs'}, study_url: service, mlflow_uri: service}}\n"
    )
    return file


def committed(postgres: Postgres) -> dict[tuple[int, int], float]:
    """(trial, step) -> value of the search, as the database has them now."""
    rows = postgres.query(
        "select t.number, v.step, v.intermediate_value from schedule_search_study.trial_intermediate_values v "
        "join schedule_search_study.trials t using (trial_id) join schedule_search_study.studies s using (study_id) "
        "where s.study_name = 'toy'"
    )
    return {(number, step): value for number, step, value in rows}


@pytest.mark.timeout(600)
def test_a_search_outlasts_six_seconds_without_database_and_a_killed_mlflow(
    head: Head, postgres: Postgres, tmp_path: Path
) -> None:
    service = head.service
    hammer = Hammer(service.study_url)
    hammer.start()
    search = subprocess.Popen(
        [sys.executable, "-m", "search", "run", str(write_search(tmp_path)), "--json"],
        cwd=ROOT,
        env=head.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(lambda: len(committed(postgres)) >= 3, 150, "a value in the study")
        os.kill(head.first_process_of("search.cluster.head.servers.mlflow_server"), signal.SIGKILL)
        before, acknowledged = committed(postgres), list(hammer.acknowledged)
        postgres.kill()
        time.sleep(6)
        postgres.start()
        stdout, stderr = search.communicate(timeout=280)
    finally:
        search.kill()
        hammer.enough.set()
        hammer.join(60)
    log = (tmp_path / "runs" / "toy" / "search.log").read_text()
    assert search.returncode == 0, stderr + log
    assert "does not answer" in log
    assert "answers again" in log
    written = [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    for secret in (postgres.password, service.mlflow_password):
        assert secret not in stdout + stderr
        assert not [path for path in written if secret.encode() in path.read_bytes()]
    assert json.loads(stdout)["finished"] is True
    after = committed(postgres)
    assert {key: after[key] for key in before} == before

    assert hammer.error is None
    assert acknowledged
    assert len(hammer.acknowledged) > len(acknowledged)
    study = optuna.load_study(study_name="hammer", storage=service.study_url)
    trials = study.get_trials(deepcopy=False)
    study._storage._backend.engine.dispose()
    assert [trial.user_attrs["trial"]["seed"] for trial in trials] == list(range(len(trials)))
    for what, number, step in hammer.acknowledged:
        assert number < len(trials)
        assert what != "reported" or trials[number].intermediate_values[step] == 100.0 * number + step
        assert what != "finished" or trials[number].state.is_finished()

    until(head.healthy, 120, "health")
    reconcile = [sys.executable, "-m", "search", "reconcile", str(tmp_path / "toy.yaml"), "--json"]
    for _ in range(2):  # the second time if the search could not wait for MLflow's return
        done = subprocess.run(
            reconcile,
            cwd=ROOT,
            env=head.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        if not any(json.loads(done.stdout)["written"].values()):
            break
    else:
        pytest.fail("MLflow does not have all that the study has")


def test_stopped_services_leave_no_process_and_start_again_with_the_same_password(head: Head) -> None:
    password = head.service.mlflow_password
    stopped = head.serve("--stop")
    assert (stopped.returncode, json.loads(stopped.stdout)) == (0, {"stopped": True})
    assert not head.processes()
    for port in head.ports:
        with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
            probe.connect(("127.0.0.1", port))
    # Another head on the same databases, as after `ray down` and `ray up`: its own password counts from then on.
    (head.home / "service.json").unlink()
    assert head.start()["already_running"] is False
    assert head.service.mlflow_password != password
    assert code_of(f"{head.service.mlflow_uri}{EXPERIMENTS}", head.service) == 200
