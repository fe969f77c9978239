"""A start of Ray that cannot succeed, or does not end: it is ended, tried once more, given up. No Ray is started."""

import inspect
import logging
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray._private import node, parameter, ray_constants, services

from search.engine import start_watch
from search.engine.ray_start import start_ray
from search.engine.start_watch import PART_SECONDS, StartGivenUp, StartWatch
from search.errors import OperationFailed

ROOT = Path(__file__).parents[2]
GCS, RAYLET, MONITOR = "gcs_server", "raylet", "monitor"
AT_ONCE = ("true",)
FOR_EVER = ("sleep", "600")


class Starts:
    """Ray's starts: what each does in its turn, and the processes that it begins."""

    def __init__(self) -> None:
        self.left: list[Callable[[], None]] = []
        self.begun: list[subprocess.Popen[bytes]] = []
        self.commands: list[tuple[list[str], dict[str, Any]]] = []

    def init(self, **options: Any) -> None:
        self.left.pop(0)()

    def begin(self, part: str, *command: str) -> subprocess.Popen[bytes]:
        """As Ray does."""
        process: subprocess.Popen[bytes] = services.start_ray_process(command, part, fate_share=False).process
        return process


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Starts]:
    found = Starts()

    def start_ray_process(command: Any, process_type: str, fate_share: bool, **options: Any) -> Any:
        found.commands.append((command, options))
        found.begun.append(subprocess.Popen(command[:2]))
        return SimpleNamespace(process=found.begun[-1])

    monkeypatch.setattr(ray, "init", found.init)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(services, "start_ray_process", start_ray_process)
    monkeypatch.setattr(start_watch, "LOOK_SECONDS", 0.01)
    yield found
    for process in found.begun:
        process.kill()
        process.wait()


def not_there(*_: Any, **__: Any) -> Any:
    raise RuntimeError("not there")


@pytest.mark.parametrize("part", [GCS, RAYLET])
@pytest.mark.parametrize("asked", ["node", "port"])
def test_a_part_that_is_dead_is_not_waited_for_and_ray_is_started_once_more(
    starts: Starts,
    part: str,
    asked: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(services, "get_node", not_there)
    monkeypatch.setattr(node, "wait_for_persisted_port", not_there)
    began = time.monotonic()

    def lost() -> None:
        starts.begin(MONITOR, *FOR_EVER)
        starts.begin(part, *AT_ONCE).wait()
        if asked == "node":
            services.get_node("address", "id")
        else:
            node.wait_for_persisted_port("folder", "id", GCS, timeout_ms=90_000)

    starts.left = [lost, lambda: None]
    start_ray(tmp_path, 1, 0)
    assert starts.left == []
    assert [process.poll() is not None for process in starts.begun] == [True, True]
    assert time.monotonic() - began < PART_SECONDS  # it would have been asked for as long
    [line] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.getMessage() == (
        f"Ray did not start (its process {part} has ended, killed or for want of memory); it is started once more"
    )


def test_a_part_that_only_watches_may_end(starts: Starts, tmp_path: Path) -> None:
    def begin() -> None:
        starts.begin(MONITOR, *AT_ONCE).wait()
        assert services.get_node is not before

    before = services.get_node
    starts.left = [begin]
    start_ray(tmp_path, 1, 0)
    assert services.get_node is before


def test_a_start_that_hangs_is_ended_after_its_limit_twice_then_one_line(
    starts: Starts, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    def hang() -> None:
        starts.begin(GCS, *FOR_EVER).wait()  # only its end ends this
        raise RuntimeError("Failed to start GCS.\nand a page more")

    starts.left = [hang, hang]
    with pytest.raises(OperationFailed) as told:
        start_ray(tmp_path, 1, 0, limit_seconds=0.05)
    assert str(told.value).startswith("Ray did not start, twice: it was not done in 0 s")
    assert str(told.value).endswith(". Run: python -m search doctor") and "\n" not in str(told.value)
    assert [record.getMessage() for record in caplog.records] == [
        "Ray did not start (it was not done in 0 s); it is started once more"
    ]
    assert {process.returncode for process in starts.begun} <= {-9}


def test_nothing_is_begun_after_a_start_was_given_up(starts: Starts) -> None:
    watch = StartWatch(limit_seconds=0.0)

    def begin_late() -> None:
        while watch.given_up is None:
            time.sleep(0.01)
        starts.begin(GCS, *FOR_EVER)

    with pytest.raises(StartGivenUp, match="not done"), watch.watching():
        begin_late()
    assert starts.begun == []


def test_a_start_that_ends_when_it_was_given_up_is_none(starts: Starts) -> None:
    watch = StartWatch(limit_seconds=0.01)
    with pytest.raises(StartGivenUp, match="not done"), watch.watching():
        starts.begin(GCS, *FOR_EVER).wait()
    assert not [
        thread for thread in threading.enumerate() if thread.name == "ray-start" and not thread.daemon
    ]


def test_a_node_that_is_long_in_coming_is_waited_for(starts: Starts, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([RuntimeError("not there"), RuntimeError("not there"), {"node": 1}, 6379])

    def ask(*_: Any, **__: Any) -> Any:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(services, "get_node", ask)
    monkeypatch.setattr(node, "wait_for_persisted_port", ask)
    with StartWatch().watching():
        assert services.get_node("address", "id") == {"node": 1}
        assert node.wait_for_persisted_port("folder", "id", GCS, timeout_ms=1000) == 6379
    assert services.get_node is ask and node.wait_for_persisted_port is ask


def test_a_port_that_never_comes_is_waited_for_as_long_as_ray_says(
    starts: Starts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "wait_for_persisted_port", not_there)
    with StartWatch().watching(), pytest.raises(RuntimeError, match="not there"):
        node.wait_for_persisted_port("folder", "id", GCS, timeout_ms=20)


def test_the_installed_ray_has_the_names_that_are_replaced(tmp_path: Path) -> None:
    assert (ray_constants.PROCESS_TYPE_GCS_SERVER, ray_constants.PROCESS_TYPE_RAYLET) == (GCS, RAYLET)
    assert "start_ray_process" in services.start_gcs_server.__code__.co_names
    assert "start_ray_process" in services.start_raylet.__code__.co_names
    assert "get_node" in node.Node.__init__.__code__.co_names
    assert "wait_for_persisted_port" in node.Node.start_gcs_server.__code__.co_names
    with pytest.raises(RuntimeError):  # what is taken for "not yet"
        node.wait_for_persisted_port(str(tmp_path), ray.NodeID.from_random().hex(), GCS, timeout_ms=1)


STUCK = """
import time
from search.engine import start_watch
from search.machine.temporary import temporary_folder
start_watch.LOOK_SECONDS = 0.05
with temporary_folder("search-test-") as folder:
    print(folder, flush=True)
    with start_watch.StartWatch(limit_seconds=0.1, leave_seconds=0.1).watching():
        time.sleep(300)
"""


def test_a_start_that_does_not_let_go_ends_the_process_in_one_line_and_leaves_no_folder() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STUCK], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert (
        done.stderr == "error: Ray did not start: it was not done in 0 s. The same command starts it again\n"
    )
    assert not Path(done.stdout.strip()).exists()


def test_a_start_that_nobody_waits_for_any_more_is_ended_and_not_begun_again(
    starts: Starts, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    unwanted = threading.Event()

    def left() -> None:
        starts.begin(GCS, *FOR_EVER)
        unwanted.set()
        starts.begin(RAYLET, *FOR_EVER)

    starts.left = [left, lambda: None]
    with pytest.raises(StartGivenUp, match="nobody waits for it"):
        start_ray(tmp_path, 1, 0, is_wanted=lambda: not unwanted.is_set())
    assert len(starts.left) == 1 and caplog.records == []
    assert [process.poll() for process in starts.begun] == [-9]


def test_what_only_watches_a_ray_is_not_started(starts: Starts, tmp_path: Path) -> None:
    """Neither its autoscaler, nor who sends logs to the driver, nor its dashboard, nor its agents."""
    found: list[Any] = []

    def start() -> None:
        for name in ("start_monitor", "start_log_monitor", "start_api_server"):
            found.append(getattr(node.Node, name)(SimpleNamespace()))
        starts.begin(RAYLET, "true", "--node_id=1", *AGENTS, "--num_prestart_python_workers=8")

    before = node.Node.start_monitor
    starts.left = [start]
    start_ray(tmp_path, 8, 0, workers=2, threads=4)
    assert found == [None] * 3
    assert node.Node.start_monitor is before
    [(command, options)] = starts.commands
    settings = dict(option.split("=", 1) for option in command[1:])
    assert settings["--num_prestart_python_workers"] == "2" and settings["--node_id"] == "1"
    assert options["env_updates"]["TMPDIR"] == str(tmp_path)
    agents = [shlex.split(settings[option.split("=")[0]]) for option in AGENTS if "command" in option]
    assert agents == [[sys.executable, "-I", "-S", str(tmp_path / "agent.py")]] * 2
    assert len(settings) == len(command) - 1  # a raylet would take the first of two


AGENTS = (
    *("--dashboard_agent_command=agent", "--runtime_env_agent_command=agent", "--metrics-agent-port=0"),
    *("--metrics_export_port=0", "--runtime_env_agent_port=0"),
)


def test_nobody_else_writes_into_the_folder_of_a_ray(starts: Starts, tmp_path: Path) -> None:
    starts.left = [lambda: node.try_to_create_directory(str(tmp_path))]
    tmp_path.chmod(0o700)
    start_ray(tmp_path, 1, 0)
    assert starts.left == [] and tmp_path.stat().st_mode & 0o777 == 0o700


def test_the_installed_ray_starts_a_raylet_with_what_is_changed_there() -> None:
    options = [option.split("=")[0] for option in (*AGENTS, "--num_prestart_python_workers=")]
    source = inspect.getsource(services.start_raylet)
    assert [option for option in options if f'"{option}=' not in source] == []
    assert "worker_path" in inspect.signature(parameter.RayParams).parameters
    assert "worker_path" not in inspect.getsource(ray.init)  # else it would be given twice


def test_a_worker_is_told_its_threads_and_what_it_imports_first(starts: Starts, tmp_path: Path) -> None:
    found: list[Any] = []
    starts.left = [lambda: found.append(parameter.RayParams())]
    start_ray(tmp_path, 4, 0, threads=4)
    worker = Path(found[0].worker_path)
    assert parameter.RayParams().worker_path is None
    done = subprocess.run(
        [sys.executable, "-c", WORKER_IN_PARTS, worker],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    assert done.stdout.split() == ["4", "before", "trainable.ray_trainable", "True", "enabled", "True"]


# Runs a worker up to the loop in which it waits for its trial.
WORKER_IN_PARTS = """
import gc, os, runpy, sys
from ray._private.worker import Worker

def main_loop(worker):
    print("trainable.ray_trainable", "trainable.ray_trainable" in sys.modules, "enabled", gc.isenabled())

def run_path(path, run_name):
    print(os.environ["OMP_NUM_THREADS"])
    print("before" if "trainable" not in sys.modules else "after")
    Worker.main_loop(None)

os.environ.pop("OMP_NUM_THREADS", None)
Worker.main_loop, run, runpy.run_path = main_loop, runpy.run_path, run_path
run(sys.argv[1])
"""
