"""A Ray of our own that was lost: it is seen, gone on without for a while, and given up. No Ray is started."""

import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from search.engine.ray_lost import RayLost, lost_part
from search.errors import OperationFailed
from search.running.ray_losses import MAX_LOST_RAYS, outlive_rays

ROOT = Path(__file__).parents[2]


class Process:
    """One of Ray's. code: what it ended with, None: it runs."""

    def __init__(self, code: int | None):
        self.code = code

    def poll(self) -> int | None:
        return self.code


@pytest.mark.parametrize(
    ("codes", "lost"),
    [
        ({"gcs_server": None, "raylet": None, "monitor": None}, None),
        ({"gcs_server": -9, "raylet": None}, "gcs_server"),
        ({"gcs_server": None, "raylet": -9}, "raylet"),
        ({"gcs_server": None, "raylet": None, "monitor": -9, "log_monitor": 1}, None),
        ({}, None),  # a cluster's: no process of it is ours
    ],
)
def test_a_ray_without_its_head_or_its_node_is_lost(
    codes: dict[str, int | None], lost: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray._private import worker

    parts = {name: [SimpleNamespace(process=Process(code))] for name, code in codes.items()}
    monkeypatch.setattr(worker, "_global_node", SimpleNamespace(all_processes=parts))
    assert lost_part() == lost


def test_the_installed_ray_has_the_names_that_are_looked_at() -> None:
    from ray._private import ray_constants, worker

    assert worker._global_node is None and lost_part() is None
    assert ray_constants.PROCESS_TYPE_RAYLET == "raylet"
    assert ray_constants.PROCESS_TYPE_GCS_SERVER == "gcs_server"


STUCK = """
import sys, time
from types import SimpleNamespace
from ray._private import worker
from search.engine import ray_lost
from search.machine.temporary import temporary_folder
ended = SimpleNamespace(process=SimpleNamespace(poll=lambda: -9))
with temporary_folder("search-test-") as folder:
    print(folder, flush=True)
    with ray_lost.left_when_lost(leave_seconds=0.05):
        worker._global_node = SimpleNamespace(all_processes={"gcs_server": [ended]})
        time.sleep(300)
"""


def test_a_process_that_its_lost_ray_holds_up_ends_in_one_line_and_leaves_no_folder() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STUCK], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert done.stderr == (
        "error: Ray was lost: its process gcs_server has ended, killed or for want of memory. The same command goes "
        "on where this stopped\n"
    )
    assert not Path(done.stdout.strip()).exists()


class Work:
    """Done on one Ray after the other. reports: for each, how many there are before it is lost; None: it is not."""

    def __init__(self, reports: list[int | None]):
        self._reports = iter(reports)
        self.num_done, self.losses = 0, 0
        self.interrupted = threading.Event()

    def do(self) -> None:
        more = next(self._reports)
        if more is not None:
            self.num_done += more
            raise RayLost("Ray was lost")

    def lost(self, loss: RayLost) -> None:
        self.losses += 1

    def outlive(self) -> None:
        outlive_rays(self.do, interrupted=self.interrupted, num_done=lambda: self.num_done, on_loss=self.lost)


def test_a_search_goes_on_on_another_ray() -> None:
    work = Work([0, 1, 0, 1, 0, 3, None])
    work.outlive()
    assert work.losses == 6


def test_a_search_whose_rays_are_lost_again_and_again_gives_up() -> None:
    work = Work([1, *[0] * MAX_LOST_RAYS])
    with pytest.raises(OperationFailed, match=f"{MAX_LOST_RAYS} times with nothing reported in between"):
        work.outlive()


def test_no_other_ray_is_started_for_a_search_that_is_interrupted() -> None:
    class Interrupted(Work):
        def do(self) -> None:
            self.interrupted.set()
            super().do()

    work = Interrupted([0])
    work.outlive()
    assert work.losses == 1
