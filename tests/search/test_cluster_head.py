"""What happens on the head of a cluster, and the same verbs on one machine."""

import base64
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from search import cli
from search.cluster.storage_defaults import tracking_environment, with_service
from search.engine.ray_cluster import cluster_ray
from search.errors import InputError, OperationFailed
from search.file.spec import SearchSpec, load_spec
from search.machine.checkout import git_commit, is_shipped, marker_of, shipped_commit
from search.machine.descendants import descendants
from search.machine.driver import driver_of, is_driven
from search.machine.package import package, package_name
from search.machine.service import Service, write_service
from search.policy.conductor import Conductor
from search.record import Report
from search.running.known import remember
from search.running.search import Search
from search.running.statuses import statuses_of
from search.running.tracked import parent_info
from search.screen.status_text import details
from search.tracking import ParentInfo, ProjectionProcess
from search.tracking.process import TrackingError

ROOT = Path(__file__).parents[2]
SEARCH = """
name: toy
data: digits
training: {total_steps: 100}
budget: {max_trials: 3}
confirm: {top: 0}
noise_floor: {seeds: 0}
resources: {cpu: 1, gpu: 0.25}
"""
PASSWORD = "only-for-the-service"


@pytest.fixture
def head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A head whose service keeps things below the folder; the current directory holds nothing."""
    monkeypatch.setenv("SCHEDULE_SEARCH_HOME", str(tmp_path / "home"))
    (tmp_path / "storage").mkdir()
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    write_service(
        Service(
            storage=str(tmp_path / "storage"),
            study_url=f"sqlite:///{tmp_path}/study.db",
            mlflow_uri="http://127.0.0.1:9",
            mlflow_username="admin",
            mlflow_password=PASSWORD,
        )
    )
    return tmp_path


def spec_in(folder: Path, text: str = SEARCH) -> SearchSpec:
    (folder / "given.yaml").write_text(text)
    return load_spec(folder / "given.yaml")


def begun(spec: SearchSpec, values: dict[int, list[float]], ended: tuple[int, ...] = ()) -> Conductor:
    """The search as a driver leaves it. values: trial -> its objectives at the rungs."""
    assets: Any = SimpleNamespace(
        objective="fd_digits_cnn", data_sha256="d" * 64, extractor_sha256="e" * 64, extractor_accuracy=0.9
    )
    spec.folder.mkdir(parents=True, exist_ok=True)
    search = Search(spec)
    search.open_or_create(assets)
    search.write_file()
    times = iter(range(1_000_000, 2_000_000, 90))
    conductor = Conductor(search.plan(len(values)), search.store, clock=lambda: float(next(times)))
    for _ in values:
        conductor.next()
    for number, found in values.items():
        reports = [Report(step, value, 0) for step, value in zip(conductor.plan.rungs, found, strict=False)]
        if reports:
            outcome = "complete" if number in ended else None
            conductor.observe(number, reports[-1].step, reports, outcome)
    return conductor


# --- what is shipped ------------------------------------------------------------------------------


def test_the_package_has_the_code_and_nothing_else(tmp_path: Path) -> None:
    for name in (
        "spaces/a.py",
        "trainable/data/b.py",
        "search/c/d.json",
        "pyproject.toml",
        "constraints.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    wanted = {"spaces/a.py", "trainable/data/b.py", "search/c/d.json", "pyproject.toml", "constraints.txt"}
    for name in (
        ".git/config",
        ".venv/x",
        ".cache/x",
        "runs/x",
        "data/x",
        "search/.env",
        "search/__pycache__/c.pyc",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("not yours")
    content = package(tmp_path, "abc", {"searches/x.yaml": b"name: x"})
    with zipfile.ZipFile(BytesIO(content)) as archive:
        assert set(archive.namelist()) == {*wanted, "shipped.json", "searches/x.yaml"}
        archive.extractall(tmp_path / "job")
    assert not is_shipped(tmp_path)
    assert is_shipped(tmp_path / "job")
    assert shipped_commit(tmp_path / "job") == "abc"
    (tmp_path / "pyproject.toml").touch()
    again = package(tmp_path, "abc", {"searches/x.yaml": b"name: x"})
    assert package_name(again) == package_name(content)
    assert package_name(content) != package_name(package(tmp_path, "abd"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda kept: b"",
        lambda kept: kept[: len(kept) // 2],
        lambda kept: kept.replace(b"1234", b"1235"),
        lambda kept: kept.replace(b'"1234+changes"', b"null"),
        lambda kept: b'{"git_commit": "1234+changes"}',
        lambda kept: b'{"git_commit": ["1234"], "sha256": ""}',
        lambda kept: b"[]",
        lambda kept: b"\xff",
        lambda kept: b"[" * 100_000,
    ],
)
def test_a_package_whose_commit_was_cut_or_edited_is_told(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    marker = tmp_path / "shipped.json"
    for commit in ("1234+changes", None):
        marker.write_bytes(marker_of(commit))
        assert git_commit(tmp_path) == commit
    marker.write_bytes(damage(marker_of("1234+changes")))
    with pytest.raises(OperationFailed) as told:
        git_commit(tmp_path)
    line = str(told.value)
    assert line.startswith(f"{marker} was cut or edited (") and "\n" not in line and len(line) < 400
    assert line.endswith(
        "of which commit this code is, is lost. Submit the search again: its code is shipped anew"
    )


def test_a_driver_gives_its_nodes_the_files_that_submit_gives_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []

    def init(runtime_env: dict[str, str], **options: object) -> None:
        with zipfile.ZipFile(runtime_env["working_dir"]) as archive:
            given.extend(archive.namelist())
        raise ConnectionError("nobody is there")

    monkeypatch.setattr("ray.init", init)
    with pytest.raises(OperationFailed, match="nobody is there"), cluster_ray("127.0.0.1:1"):
        pass
    with zipfile.ZipFile(BytesIO(package(ROOT, None))) as archive:
        assert given == archive.namelist()
    assert {"search/cli.py", "shipped.json"} <= set(given)


def test_a_package_runs_verbs_and_knows_its_commit(tmp_path: Path) -> None:
    with zipfile.ZipFile(BytesIO(package(ROOT, "1234+changes"))) as archive:
        archive.extractall(tmp_path)
    # As on a head: Ray's interpreter is not this shell's parent here, so the one below the home folder is taken.
    (tmp_path / "schedule-search").mkdir()
    (tmp_path / "schedule-search" / ".venv").symlink_to(sys.prefix)
    script = "exec sh search/cluster/on_head.sh search.answer nonce list presets --jso"
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
    )
    nonce, _, answer = done.stdout.decode().partition(" ")
    assert (nonce, done.returncode) == ("nonce", 0), done.stderr
    assert json.loads(answer) == {
        "exit_code": 2,
        "stdout": "",
        "stderr": "error: unrecognized arguments: --jso. See: python -m search --help\n",
    }
    code = "from search.machine.checkout import git_commit; print(git_commit())"
    commit = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert commit.stdout == "1234+changes\n"


# --- where a search keeps things ------------------------------------------------------------------


def test_what_a_file_leaves_out_is_the_services(head: Path) -> None:
    spec = with_service(spec_in(head))
    assert spec.folder == head / "storage" / "toy"
    assert spec.study_url_resolved == f"sqlite:///{head}/study.db"
    assert spec.mlflow_uri_resolved == "http://127.0.0.1:9"
    assert tracking_environment(spec)["MLFLOW_TRACKING_PASSWORD"] == PASSWORD
    assert PASSWORD not in spec.to_yaml()
    again = load_spec(_kept(spec, head))
    assert again == spec  # read back without the service's passwords in it
    assert with_service(again) == spec


def _kept(spec: SearchSpec, folder: Path) -> Path:
    (folder / "kept.yaml").write_text(spec.to_yaml())
    return folder / "kept.yaml"


def test_what_a_file_says_stays(head: Path) -> None:
    given = f"{SEARCH}storage: {{path: {head}/mine, mlflow_uri: 'http://other:5000', study_url: }}\n"
    spec = with_service(spec_in(head, given))
    assert spec.folder == head / "mine" / "toy"
    assert spec.study_url_resolved == f"sqlite:///{head}/mine/toy/study.db"
    assert spec.mlflow_uri_resolved == "http://other:5000"
    assert tracking_environment(spec) == {}


def test_a_search_of_the_service_cannot_be_read_without_it(head: Path) -> None:
    spec = with_service(spec_in(head))
    (head / "home" / "service.json").unlink()
    with pytest.raises(InputError, match="there is none on this machine"):
        _ = spec.study_url_resolved


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        (
            "",
            "storage.path is left out, and the head runs no service that offers one. Run `python -m search serve`",
        ),
        ("storage: {path: runs}", "storage.path must be absolute for a search on a cluster, but got 'runs'"),
    ],
)
def test_in_a_job_nothing_is_kept_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: str, message: str
) -> None:
    monkeypatch.setattr("search.cluster.storage_defaults.is_shipped", lambda: True)
    with pytest.raises(InputError) as told:
        with_service(spec_in(tmp_path, SEARCH + storage))
    assert str(told.value).startswith(message)


def test_searches_that_were_run_for_a_cluster_are_found_by_name_wherever_they_are(
    head: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(with_service(spec_in(head)), {0: []})
    elsewhere = spec_in(head, SEARCH.replace("toy", "far") + f"storage: {{path: {head}/far}}\n")
    begun(elsewhere, {0: []})
    assert cli.main(["status", "--json"]) == 0
    assert [found["name"] for found in json.loads(capsys.readouterr().out)["searches"]] == ["toy"]
    for _ in range(2):
        remember(elsewhere.folder)
    assert cli.main(["status", "--json"]) == 0
    assert [found["name"] for found in json.loads(capsys.readouterr().out)["searches"]] == ["far", "toy"]
    assert Search.open("far").folder == elsewhere.folder
    assert cli.main(["status", "fra"]) == 2
    assert capsys.readouterr().err.startswith(
        "error: no search named 'fra' in runs/. There: far, toy. Or give"
    )
    assert cli.main(["status", "far", "--storage", str(head / "storage")]) == 2


# --- how it stands --------------------------------------------------------------------------------


def test_status_counts_trials_and_hours(head: Path) -> None:
    spec = with_service(spec_in(head))
    begun(spec, {0: [90.0, 80.0, 70.0], 1: [60.0], 2: []}, ended=(0,))
    found = Search(spec).status()
    trials = found["trials"]
    assert (found["state"], trials["ended"], trials["most"], trials["open"], trials["done"]) == (
        "stopped",
        1,
        3,
        2,
        1,
    )
    assert found["best"]["value"] == 70.0
    assert found["gpu_hours"] == found["slot_hours"] / 4 > 0
    assert details(found)[1] == "  trials   1/3: 2 interrupted, 1 done"


def test_while_it_runs_the_hours_of_open_trials_count_too(head: Path) -> None:
    spec = with_service(spec_in(head))
    begun(spec, {0: [90.0, 80.0, 70.0], 1: [60.0], 2: []}, ended=(0,))
    stopped = Search(spec).status()
    with driving(spec.folder):
        now = time.time()
        hour_later = Search(spec).status(now=now + 3600)
    assert hour_later["state"] == "running"
    assert hour_later["running_seconds"] == pytest.approx(3600, abs=60)
    assert hour_later["slot_hours"] - stopped["slot_hours"] == pytest.approx(2, abs=0.05)  # two open trials


def test_a_finished_search_says_what_was_found(head: Path) -> None:
    spec = with_service(spec_in(head, SEARCH.replace("max_trials: 3", "max_trials: 1")))
    begun(spec, {0: [90.0, 80.0, 70.0, 65.0]}, ended=(0,))
    found = Search(spec).status()
    assert found["state"] == "finished"
    assert "confirmed" in found["finding"]


def test_a_search_that_cannot_be_read_hides_no_other(head: Path) -> None:
    spec = with_service(spec_in(head))
    begun(spec, {0: []})
    broken = head / "storage" / "broken"
    broken.mkdir()
    (broken / "search.yaml").write_text("name: [\n")
    found = statuses_of({"toy": spec.folder, "broken": broken})
    assert [(status["name"], status["state"]) for status in found] == [
        ("broken", "unreadable"),
        ("toy", "stopped"),
    ]


# --- who drives it --------------------------------------------------------------------------------

DRIVER = """
import signal, sys, time
from pathlib import Path
from search.machine.driver import only_driver
def end(*_):
    raise SystemExit(130)
signal.signal(signal.SIGINT, end)
with only_driver(Path(sys.argv[1]), "python -m search stop toy"):
    print("driving", flush=True)
    time.sleep(600)
"""


class driving:
    """A process that holds the search in `folder` as a driver does."""

    def __init__(self, folder: Path):
        self.process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> "subprocess.Popen[str]":
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "driving\n"
        return self.process

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def test_stop_interrupts_the_driver_and_waits_for_it(head: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = with_service(spec_in(head))
    begun(spec, {0: [90.0, 80.0, 70.0], 1: []}, ended=(0,))
    with driving(spec.folder) as process:
        assert is_driven(spec.folder)
        assert cli.main(["stop", "toy"]) == 0
        assert process.wait(10) == 130
    assert capsys.readouterr().out.splitlines() == [
        "Search toy is stopped. 1 trials have ended, 1 wait to go on. Go on with:",
        "  python -m search resume toy",
    ]
    assert cli.main(["stop", "toy"]) == 1
    assert capsys.readouterr().err == (
        f"error: search 'toy' is not running. See: python -m search status toy --storage {head}/storage\n"
    )


def test_a_process_that_got_the_number_of_a_dead_driver_is_left_alone(tmp_path: Path) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        (tmp_path / ".lock").write_text(str(bystander.pid))
        with driver_of(tmp_path) as driver:
            assert driver is None
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
    for text in (str(bystander.pid), "", "-1", "0", "all"):
        (tmp_path / ".lock").write_text(text)
        assert not is_driven(tmp_path)
    assert not is_driven(tmp_path / "nowhere")


def test_looking_for_a_driver_never_takes_its_place(tmp_path: Path) -> None:
    with driving(tmp_path) as process, driver_of(tmp_path) as driver:
        assert driver is not None
        assert driver.pid == process.pid
        assert not driver.wait(0)
        process.send_signal(signal.SIGINT)
        assert driver.wait(10)
        driver.send(signal.SIGINT)  # it has gone: nothing happens


# --- the password of MLflow -----------------------------------------------------------------------


@pytest.fixture
def mlflow() -> Iterator[tuple[str, list[str | None]]]:
    """Address of a server that refuses all, and the `Authorization` of what it was asked."""
    seen: list[str | None] = []

    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization"))
            self.send_error(401)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Silence."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", seen
    server.shutdown()
    thread.join()
    server.server_close()


def test_only_the_tracking_process_knows_the_password_of_mlflow(
    head: Path, mlflow: tuple[str, list[str | None]]
) -> None:
    uri, seen = mlflow
    spec = with_service(spec_in(head))
    begun(spec, {0: []})
    info = parent_info(Search(spec), "RUNNING")
    assert PASSWORD not in repr(info) + json.dumps(Search(spec).header)
    settings = {"uri": uri, "search_name": "toy", "objective": "fd_toy", "total_steps": 1, "folder": head}
    before = set(descendants())
    process = ProjectionProcess(settings, head / "log", tracking_environment(spec))
    try:
        with pytest.raises(TrackingError) as told:
            process.sync_parent(ParentInfo())
        (started,) = set(descendants()) - before
        child = Path(f"/proc/{started}")
        shown = (child / "cmdline").read_bytes() + (child / "environ").read_bytes()
    finally:
        process.close()
    assert seen[0] == "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
    assert PASSWORD.encode() not in shown
    assert PASSWORD not in str(told.value) + (head / "log").read_text()
    assert "MLFLOW_TRACKING_PASSWORD" not in os.environ
