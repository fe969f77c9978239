"""A search on a Ray cluster that runs already, with its token."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.running import PLAIN, ROOT, free_ports, started, toy

pytestmark = pytest.mark.integration

SEARCH = toy(100, 3, PLAIN)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Address and token of a head of our own on loopback."""
    (port,) = free_ports(1)
    token = secrets.token_hex(32)
    folder = tmp_path_factory.mktemp("r")  # short: Unix sockets lie below it
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", f"--port={port}"]
    command += ["--node-ip-address=127.0.0.1", "--num-cpus=2", "--include-dashboard=false"]
    command += [f"--temp-dir={folder}", "--disable-usage-stats", "--object-store-memory=200000000"]
    with started(command, folder / "log", "Ray runtime started", RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token):
        yield f"127.0.0.1:{port}", token


def run(folder: Path, address: str, token: str, rest: str = "") -> subprocess.CompletedProcess[str]:
    file = folder / "toy.yaml"
    file.write_text(f"{SEARCH}\nstorage: {{path: {folder / 'runs'}}}\n{rest}\n")
    return subprocess.run(
        [sys.executable, "-m", "search", "run", str(file), "--address", address, "--json"],
        cwd=ROOT,
        env=os.environ
        | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, "SCHEDULE_SEARCH_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        timeout=280,
    )


def test_a_search_runs_on_the_cluster_and_leaves_it_running(cluster: tuple[str, str], tmp_path: Path) -> None:
    address, token = cluster
    for _ in range(2):  # the second one finds it finished, and the cluster still there
        found = run(tmp_path, address, token)
        assert found.returncode == 0, found.stderr
        answer = json.loads(found.stdout)
        assert answer["finished"] is True
        assert len(answer["leaderboard"]["rows"]) == 3
    assert answer["already_finished"] is True
    for path in (tmp_path / "runs").rglob("*"):
        if path.is_file():
            assert token.encode() not in path.read_bytes(), path


def test_a_search_takes_no_slot_more_than_it_may_have(cluster: tuple[str, str], tmp_path: Path) -> None:
    """Of a cluster with room for two. Tune takes a slot by a placement group, and gives each trial a worker in one."""
    address, token = cluster
    (logs,) = tmp_path.parent.glob("r[0-9]/session_latest/logs")

    def num_taken() -> int:
        return (
            (logs / "gcs_server.out")
            .read_text(errors="replace")
            .count("Finished registering placement group")
        )

    before = num_taken()
    found = run(tmp_path, address, token, "resources: {max_concurrent: 1}")
    assert found.returncode == 0, found.stderr
    assert len(json.loads(found.stdout)["leaderboard"]["rows"]) == 3
    assert num_taken() - before == 1


def test_without_the_right_token_there_is_one_clear_line(cluster: tuple[str, str], tmp_path: Path) -> None:
    address, _ = cluster
    found = run(tmp_path, address, "wrong" * 8)
    assert found.returncode == 1
    last = found.stderr.splitlines()[-1]
    assert last.startswith(f"error: no Ray cluster at {address!r} lets us in")
    assert "is its token here" in last
