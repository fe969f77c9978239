"""A Ray of our own: where its sockets lie, what it needs of this user's limits. No Ray is started."""

import errno
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from search.engine import ray_here
from search.engine.ray_here import StartingRay, local_ray, root_for_sockets
from search.errors import OperationFailed

ROOT = Path(__file__).parents[2]


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(tempfile, "tempdir", None)
    return monkeypatch


def test_sockets_lie_in_the_users_temporary_folder_if_their_paths_fit(
    temporary: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    short = Path(tempfile.mkdtemp(dir="/tmp", prefix="s"))
    temporary.setenv("TMPDIR", str(short))
    temporary.setattr(tempfile, "tempdir", None)
    assert root_for_sockets() == short
    long = tmp_path / ("x" * 60)
    long.mkdir()
    temporary.setenv("TMPDIR", str(long))
    temporary.setattr(tempfile, "tempdir", None)
    assert root_for_sockets() == Path("/tmp")
    short.rmdir()


def test_where_no_folder_will_do_one_line_says_so(temporary: pytest.MonkeyPatch) -> None:
    temporary.setattr(tempfile, "tempdir", "/tmp/user/1000/of-a-batch-system")
    temporary.setattr(
        ray_here, "why_not_writable", lambda folder: f"{folder} cannot be written to: Read-only"
    )
    with pytest.raises(OperationFailed) as told:
        root_for_sockets()
    assert str(told.value) == (
        "Ray needs a folder for its sockets and logs, with a path of at most 19 characters and 8 MiB free, but "
        "/tmp/user/1000/of-a-batch-system has 32 characters and /tmp cannot be written to: Read-only. Set TMPDIR to "
        "another one"
    )


def test_a_folder_without_room_is_passed_over_or_told(temporary: pytest.MonkeyPatch, tmp_path: Path) -> None:
    full, free = Path(tempfile.mkdtemp(dir="/tmp", prefix="s")), {"/tmp": 2**30}
    temporary.setattr(tempfile, "tempdir", str(full))
    temporary.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free.get(str(path), 3 * 2**20)))
    assert root_for_sockets() == Path("/tmp")
    free.clear()
    with pytest.raises(
        OperationFailed, match=rf"but {full} has 3 MiB free and /tmp has 3 MiB free\. Set TMPDIR"
    ):
        root_for_sockets()
    full.rmdir()


def test_where_all_is_full_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp', '/var/tmp', ...]")

    def full(*options: object, **more: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/x")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with pytest.raises(
        OperationFailed, match=r"but /tmp cannot be written to: No space left on device\. Set TMPDIR"
    ):
        root_for_sockets()


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[Exception | None]:
    """What becomes of Ray's starts, one after the other: an error, or None. The machine is busy."""
    import ray

    left: list[Exception | None] = []

    def init(**options: object) -> None:
        outcome = left.pop(0)
        if outcome is not None:
            raise outcome

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(ray_here, "log_like_the_rest", lambda: None)
    monkeypatch.setattr(os, "getloadavg", lambda: (15.2, 9.0, 3.0))
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1})
    return left


SLOW = RuntimeError("The node with name 'x' did not register within 30 s\nand a page more")


def test_ray_is_started_once_more_where_it_was_too_slow(
    starts: list[Exception | None], caplog: pytest.LogCaptureFixture
) -> None:
    starts += [SLOW, None]
    with local_ray(num_cpus=2, num_gpus=0) as folder:
        assert starts == []
    assert not folder.exists()
    assert [record.getMessage() for record in caplog.records] == [
        "Ray did not start (The node with name 'x' did not register within 30 s); it is started once more"
    ]


def test_after_the_second_time_one_line_names_the_load(
    starts: list[Exception | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    starts += [SLOW, SLOW, None]
    with pytest.raises(OperationFailed) as told, local_ray(num_cpus=2, num_gpus=0):
        pytest.fail("Ray has not started")
    assert str(told.value) == (
        "Ray did not start, twice: The node with name 'x' did not register within 30 s (the load of this machine is "
        "15, and it has 2 CPUs). Run: python -m search doctor"
    )
    assert starts == [None]  # no third time
    starts[:] = [SLOW, SLOW]
    monkeypatch.setattr(os, "getloadavg", lambda: (0.5, 0.5, 0.5))  # it is not to blame
    with pytest.raises(OperationFailed, match=r"within 30 s\. Run: "), local_ray(num_cpus=2, num_gpus=0):
        pytest.fail("Ray has not started")


def test_the_longest_socket_fits_whatever_the_user_id() -> None:
    folder = tempfile.mkdtemp(prefix=f"search-{2**22}-", dir="/tmp")
    socket = f"{folder}/session_2026-01-01_00-00-00_000000_{2**22}/sockets/plasma_store"
    os.rmdir(folder)
    assert len(socket) <= 107


def test_ray_is_left_before_the_thread_ends_that_started_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import ray

    started_by: list[threading.Thread] = []
    alive_when_left: list[bool] = []
    monkeypatch.setattr(ray, "shutdown", lambda: alive_when_left.append(started_by[0].is_alive()))
    starting = StartingRay(tmp_path, lambda is_wanted: started_by.append(threading.current_thread()))
    starting.end()
    assert alive_when_left == [True]  # Linux kills a thread's processes with it
    assert not started_by[0].is_alive()


def test_leftovers_of_others_and_links_are_not_followed(
    temporary: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = tmp_path / "t"
    root.mkdir()
    temporary.setenv("TMPDIR", str(root))
    temporary.setattr(tempfile, "tempdir", None)
    gone, mine, other = 2**22 + 1, os.getpid(), tmp_path / "precious"
    other.mkdir()
    (root / f"search-{gone}-abcdefgh").mkdir()
    (root / f"search-{mine}-abcdefgh").mkdir()
    (root / f"search-{gone}-ijklmnop").symlink_to(other)

    def stop(num_workers: int) -> None:
        raise OperationFailed("before Ray starts")

    temporary.setattr(ray_here, "root_for_sockets", lambda: stop(0))
    with pytest.raises(OperationFailed, match="before Ray starts"), local_ray(num_cpus=1, num_gpus=0):
        pass
    assert {path.name for path in root.iterdir()} == {
        f"search-{mine}-abcdefgh",
        f"search-{gone}-ijklmnop",
    }
    assert other.is_dir()


LIMITED = """
import resource, sys
resource.setrlimit(resource.{limit}, ({soft}, {hard}))
from search.engine.ray_here import ensure_limits
from search.errors import OperationFailed
try:
    ensure_limits(2)
except OperationFailed as error:
    print(error)
else:
    print(resource.getrlimit(resource.{limit})[0])
"""


@pytest.mark.parametrize(
    ("limit", "soft", "hard", "said"),
    [
        (
            "RLIMIT_NOFILE",
            100,
            200,
            "Ray needs 576 open files for 2 trials at a time, but this user may have 200",
        ),
        (
            "RLIMIT_NPROC",
            100,
            200,
            "Ray needs 384 processes and threads for 2 trials at a time, but this user",
        ),
        ("RLIMIT_NOFILE", 100, 4096, "576"),
    ],
)
def test_limits_are_raised_or_told_before_ray_starts(limit: str, soft: int, hard: int, said: str) -> None:
    assert resource.getrlimit(getattr(resource, limit))[1] >= hard
    code = LIMITED.format(limit=limit, soft=soft, hard=hard)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith(said), done.stderr
