"""A start of Ray that cannot succeed, or does not end: it is ended, tried once more, given up. No Ray is started."""

import logging
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
from ray._private import node, ray_constants, services

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

    def init(self, **options: Any) -> None:
        self.left.pop(0)()

    def begin(self, part: str, *command: str) -> subprocess.Popen[bytes]:
        """As Ray does."""
        process: subprocess.Popen[bytes] = services.start_ray_process(command, part, fate_share=False).process
        return process


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Starts]:
    found = Starts()

    def start_ray_process(command: Any, process_type: str, fate_share: bool) -> Any:
        found.begun.append(subprocess.Popen(command))
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


def test_what_only_watches_a_ray_is_not_started(starts: Starts) -> None:
    """Neither its autoscaler, nor who sends logs to the driver, nor its dashboard; its agent is a minimal one."""
    found: list[Any] = []

    def start() -> None:
        for name in ("start_monitor", "start_log_monitor", "start_api_server"):
            found.append(getattr(node.Node, name)(SimpleNamespace()))
        found.append(ray._private.utils.get_dashboard_dependency_error())

    before = node.Node.start_monitor
    starts.left = [start]
    start_ray(Path("unused"), 1, 0)
    assert found[:3] == [None] * 3 and isinstance(found[3], ImportError)
    assert node.Node.start_monitor is before
