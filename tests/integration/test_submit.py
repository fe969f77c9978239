"""Searches on a real head, from a machine that has nothing of it but the address and the token."""

import json
import os
import secrets
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from search.machine.checkout import git_commit
from search.machine.notice import NOTIFY_FILE
from search.machine.service import Service, write_service
from tests.integration.running import ROOT, free_ports, started, until
from tests.search import test_notify
from tests.search.test_notify import SECRET, Chat

chat = test_notify.chat  # fixture

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

SEARCH = """
name: NAME
data: digits
network: {name: film_mlp, width: 16, depth: 1}
training: {total_steps: STEPS, batch_size: 32}
objective: {num_samples: 200}
space: {noise: {lognormal: }, curriculum: {constant: }}
presets: [ict_short]
noise_floor: {seeds: 0}
budget: {max_trials: TRIALS}
confirm: {top: 1, rounds: [2]}
resources: {max_concurrent: 1}
"""


@dataclass(frozen=True)
class Head:
    """A head, and the folder of another machine that may use it."""

    folder: Path
    address: str
    token: str
    password: str  # of MLflow
    mlflow: str

    @property
    def laptop(self) -> Path:
        return self.folder / "laptop"

    @property
    def storage(self) -> Path:
        return self.folder / "storage"

    def file(self, name: str, *, trials: int = 2, steps: int = 500) -> str:
        path = self.laptop / f"{name}.yaml"
        text = SEARCH.replace("NAME", name).replace("TRIALS", str(trials)).replace("STEPS", str(steps))
        path.write_text(text)
        return str(path)

    def search(self, *arguments: str, at_home: bool = False) -> "subprocess.CompletedProcess[str]":
        """`python -m search ARGUMENTS`, from the other machine or, at_home, on the head."""
        return subprocess.run(
            [sys.executable, "-m", "search", *arguments, *([] if at_home else self.there)],
            cwd=ROOT,
            env=self.environment(at_home=at_home),
            capture_output=True,
            text=True,
            timeout=400,
        )

    @contextmanager
    def begun(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        """The same from the other machine, which goes on in this block, and ends by itself unless the block fails."""
        with subprocess.Popen(
            [sys.executable, "-m", "search", *arguments, *self.there],
            cwd=ROOT,
            env=self.environment(),
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise

    @property
    def there(self) -> list[str]:
        return ["--address", self.address]

    def environment(self, *, at_home: bool = False) -> dict[str, str]:
        """Of a process of the other machine or, at_home, of the head."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
        environment |= {"HOME": str(self.laptop), "SCHEDULE_SEARCH_HOME": str(self.laptop / "none")}
        if at_home:
            environment["SCHEDULE_SEARCH_HOME"] = str(self.folder / "home")
        return environment

    def json(self, *arguments: str) -> Any:
        done = self.search(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def get(self, path: str, method: str = "GET") -> str:
        """What the Jobs API answers."""
        headers = {"Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(self.address + path, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(answer.read().decode())

    def runs(self, name: str) -> list[Any]:
        """The runs of a search in MLflow, with the password that the service has."""
        from mlflow import MlflowClient

        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
            patch.setenv("MLFLOW_TRACKING_PASSWORD", self.password)
            client = MlflowClient(self.mlflow)
            experiment = client.get_experiment_by_name(name)
            assert experiment is not None
            return list(client.search_runs([experiment.experiment_id]))


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    """A head of our own on loopback, with its token and an MLflow that wants a password."""
    folder = tmp_path_factory.mktemp("h")  # short: Unix sockets lie below it
    token, password = secrets.token_hex(32), secrets.token_hex(12)
    dashboard, mlflow, port, client_port, agent_port = free_ports(5)
    held = Head(folder, f"http://127.0.0.1:{dashboard}", token, password, f"http://127.0.0.1:{mlflow}")
    (held.laptop / ".ray").mkdir(parents=True)
    (held.laptop / ".ray" / "auth_token").write_text(token)
    held.storage.mkdir()
    (folder / "auth.ini").write_text(
        f"[mlflow]\ndefault_permission = NO_PERMISSIONS\ndatabase_uri = sqlite:///{folder}/auth.db\n"
        f"admin_username = admin\nadmin_password = {password}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCHEDULE_SEARCH_HOME", str(folder / "home"))
        write_service(
            Service(
                storage=str(held.storage),
                study_url=f"sqlite:///{folder}/study.db",
                mlflow_uri=held.mlflow,
                mlflow_username="admin",
                mlflow_password=password,
            )
        )
    ray = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", f"--port={port}"]
    ray += ["--node-ip-address=127.0.0.1", "--num-cpus=2", f"--dashboard-port={dashboard}"]
    ray += [
        "--dashboard-host=127.0.0.1",
        f"--ray-client-server-port={client_port}",
        f"--dashboard-agent-listen-port={agent_port}",  # what starts jobs; its default is one for the whole machine
        f"--temp-dir={folder / 'r'}",
    ]
    ray += ["--disable-usage-stats", "--object-store-memory=200000000"]
    server = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--workers", "1"]
    server += [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--host",
        "127.0.0.1",
        "--port",
        str(mlflow),
    ]
    server += ["--artifacts-destination", str(folder / "artifacts")]
    with (
        started(
            server,
            folder / "mlflow.log",
            "Application startup complete",
            MLFLOW_FLASK_SERVER_SECRET_KEY=secrets.token_hex(16),
            MLFLOW_AUTH_CONFIG_PATH=str(folder / "auth.ini"),
            MLFLOW_AUTH_ADMIN_PASSWORD=password,
            MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
        ),
        started(
            ray,
            folder / "ray.log",
            "Ray runtime started",
            RAY_AUTH_MODE="token",
            RAY_AUTH_TOKEN=token,
            SCHEDULE_SEARCH_HOME=str(folder / "home"),
            PATH="/usr/bin:/bin",  # that of a login without our Python
        ),
    ):
        yield held


def test_a_search_is_stopped_and_goes_on_beside_another(head: Head, chat: Chat) -> None:
    file = head.file("long", trials=200, steps=3000)  # it never ends here
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: head.search("submit", file), range(2)))
    assert sorted(done.returncode for done in both) == [0, 1], [done.stderr for done in both]
    loser = next(done for done in both if done.returncode == 1)
    assert loser.stderr.startswith(f"error: search 'long' is being run on {head.address} already. See: ")
    assert loser.stderr.count("\n") == 1

    log = head.storage / "long" / "search.log"
    until(
        lambda: log.exists() and "trial 1 search running" in log.read_text(),
        240,
        "a trial of the search runs",
    )
    assert head.search("submit", file).returncode == 1
    with head.begun("watch", "long", "--every", "5", "--json") as watching:
        assert watching.stdout is not None
        looks = [json.loads(watching.stdout.readline())]
        stopped = head.json("stop", "long")
        looks += map(json.loads, watching.stdout)
    assert watching.returncode == 0
    assert (looks[0]["state"], looks[-1]["state"]) == ("running", "stopped")
    assert looks[0]["running_seconds"] > 0 and "seconds_left" in looks[0]
    assert (stopped["state"], stopped["trials"]["open"]) == ("stopped", 1)
    statuses = [run.info.status for run in head.runs("long")]
    assert statuses.count("KILLED") == 2  # the search's own run, and the open trial's
    assert "RUNNING" not in statuses
    not_running = head.search("stop", "long")
    assert (not_running.returncode, not_running.stderr.count("\n")) == (1, 1)
    assert not_running.stderr.startswith("error: search 'long' is not running.")

    assert head.search("resume", "long").returncode == 0
    done = head.search("submit", head.file("toy"), "--wait", "--notify", chat.url)
    assert done.returncode == 0, done.stdout + done.stderr
    (told,) = chat.told
    assert (told["name"], told["state"]) == ("toy", "finished")
    assert told["conclusion"] in head.search("leaderboard", "toy").stdout
    shown = head.search("watch", "toy").stdout
    assert shown.startswith("toy: finished") and told["conclusion"] in shown
    assert "toy: fd_digits_cnn, lower is better" in done.stdout

    listed = {found["name"]: found for found in head.json("status")["searches"]}
    assert {name: found["state"] for name, found in listed.items()} == {"long": "running", "toy": "finished"}
    before, after = stopped["trials"], listed["long"]["trials"]
    assert after["ended"] > before["ended"] and after["failed"] == 0
    assert listed["long"]["slot_hours"] > stopped["slot_hours"] > 0
    assert listed["toy"]["trials"]["ended"] == 2
    runs = head.runs("toy")
    assert {run.info.status for run in runs} == {"FINISHED"}
    numbers = [run.data.tags.get("search.trial") for run in runs]
    # Each once, and the search's own.
    assert sorted(map(str, numbers)) == [*map(str, range(len(runs) - 1)), "None"]
    assert len(runs) > 1 + 2  # the two of the search, and confirmations

    # Ray's own stop, which its dashboard has a button for, is as clean.
    head.get("/api/jobs/search-long-run2/stop", "POST")
    assert "The search is stopped; everything is kept in" in head.search("logs", "long", "-f").stdout
    until(
        lambda: json.loads(head.get("/api/jobs/search-long-run2"))["status"] == "STOPPED",
        240,
        "it is stopped",
    )


def test_leaderboard_and_export_are_as_on_the_head(head: Head) -> None:
    here, there = head.laptop / "here.json", head.laptop / "there.json"
    assert head.search("export", "toy", "--output", str(there)).returncode == 0
    assert head.search("export", "toy", "--output", str(here), at_home=True).returncode == 0
    assert here.read_bytes() == there.read_bytes()
    document = json.loads(here.read_text())
    assert document["provenance"]["git_commit"] == git_commit()
    assert document["confirmed"] is True
    board = head.search("leaderboard", "toy")
    assert board.stdout == head.search("leaderboard", "toy", at_home=True).stdout
    extended = head.search("extend", "toy", "--trials", "1", "--wait")
    assert extended.returncode == 0, extended.stdout + extended.stderr
    assert head.json("status", "toy")["trials"]["ended"] == 3


def test_what_goes_wrong_is_one_line(head: Head) -> None:
    lost = head.file("lost")
    text = Path(lost).read_text().replace("network: {name: film_mlp, width: 16, depth: 1}\n", "")
    text = text.replace("{num_samples: 200}", "{num_samples: 200, extractor: pixels}")  # which the head has
    Path(lost).write_text(text.replace("digits", "{name: cifar10, root: /nowhere}"))
    done = head.search("submit", lost, "--wait")
    assert done.returncode == 2
    assert "error: " in done.stdout.splitlines()[-1]
    status = head.json("status", "lost")
    assert status["state"] == "failed"
    assert status["problem"] == done.stdout.splitlines()[-1].removeprefix("error: ")
    for verb in ("stop", "resume"):
        unknown = head.search(verb, "nobody")
        assert (unknown.returncode, unknown.stderr.count("\n")) == (2, 1), unknown.stderr
        assert unknown.stderr.startswith("error: no search named 'nobody' on this cluster. There: ")
    unusable = head.file("unusable")  # its storage is below a file of the head
    Path(unusable).write_text(f"{Path(unusable).read_text()}storage: {{path: {unusable}/runs}}\n")
    refused = head.search("submit", unusable)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1), refused.stderr
    assert refused.stderr.startswith(f"error: storage.path: {unusable}/runs cannot be used on ")
    assert "search-unusable" not in head.get("/api/jobs/")
    token = head.laptop / ".ray" / "auth_token"
    try:
        token.write_text("wrong" * 12)
        assert "refuses the token" in head.search("submit", head.file("new")).stderr
        token.unlink()
        assert "wants its token (401)" in head.search("submit", head.file("new")).stderr
    finally:
        token.write_text(head.token)


def test_no_secret_is_shown(head: Head) -> None:
    listing = head.get("/api/jobs/")
    jobs = [job for job in json.loads(listing) if job["submission_id"]]
    ids = {job["submission_id"] for job in jobs}
    assert {"search-long-run1", "search-long-run2", "search-toy-run1", "search-toy-run2"} <= ids
    shown = [listing, *(head.get(f"/api/jobs/{job['submission_id']}/logs") for job in jobs)]
    for run in head.runs("toy"):
        shown += [str(run.data.tags), str(run.data.params)]
    for secret in (head.token, head.password, SECRET):
        assert not [text for text in shown if secret in text]
    # Nor is it written anywhere, but to the two files that are for it.
    for place in (head.storage, head.folder / "r", head.folder / "artifacts"):
        for path in place.rglob("*"):
            if path.is_file() and not path.is_symlink():
                content = path.read_bytes()
                assert head.token.encode() not in content, path
                assert head.password.encode() not in content, path
                # The address that was notified has come with the code, and stands in that file alone.
                assert path.name == NOTIFY_FILE or SECRET.encode() not in content, path
