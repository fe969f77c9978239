"""A Ray of our own: where its sockets lie, what it needs of this user's limits. No Ray is started."""

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from search.engine import ray_here
from search.engine.ray_here import local_ray, root_for_sockets
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
    temporary.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(OperationFailed, match=r"at most 19 characters.*Set TMPDIR to a shorter one"):
        root_for_sockets()


def test_the_longest_socket_fits_whatever_the_user_id() -> None:
    folder = tempfile.mkdtemp(prefix=f"search-{2**22}-", dir="/tmp")
    socket = f"{folder}/session_2026-01-01_00-00-00_000000_{2**22}/sockets/plasma_store"
    os.rmdir(folder)
    assert len(socket) <= 107


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
    assert sorted(path.name for path in root.iterdir()) == [
        f"search-{mine}-abcdefgh",
        f"search-{gone}-ijklmnop",
    ]
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
