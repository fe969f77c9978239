"""A search on a Ray cluster that runs already, with its token."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
SEARCH = """
name: toy
data: digits
network: {name: film_mlp, width: 16, depth: 1}
training: {total_steps: 100, batch_size: 32}
objective: {num_samples: 200}
space: {noise: {lognormal: }, curriculum: {constant: }}
presets: [ict_short]
noise_floor: {seeds: 0}
budget: {max_trials: 3}
confirm: {top: 1, rounds: [2]}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Address and token of a head of our own on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(32)
    folder = tmp_path_factory.mktemp("r")  # short: Unix sockets lie below it
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", f"--port={port}"]
    command += ["--node-ip-address=127.0.0.1", "--num-cpus=2", "--include-dashboard=false"]
    command += [f"--temp-dir={folder}", "--disable-usage-stats", "--object-store-memory=200000000"]
    with (folder / "log").open("wb") as log:
        head = subprocess.Popen(
            command,
            env=os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 120
        while b"Ray runtime started" not in (folder / "log").read_bytes():
            assert head.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.5)
        yield f"127.0.0.1:{port}", token
    finally:
        os.killpg(head.pid, signal.SIGTERM)
        try:
            head.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(head.pid, signal.SIGKILL)
            head.wait()


def run(folder: Path, address: str, token: str) -> subprocess.CompletedProcess[str]:
    file = folder / "toy.yaml"
    file.write_text(f"{SEARCH}\nstorage: {{path: {folder / 'runs'}}}\n")
    return subprocess.run(
        [sys.executable, "-m", "search", "run", str(file), "--address", address, "--json"],
        cwd=ROOT,
        env=os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token},
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


def test_without_the_right_token_there_is_one_clear_line(cluster: tuple[str, str], tmp_path: Path) -> None:
    address, _ = cluster
    found = run(tmp_path, address, "wrong" * 8)
    assert found.returncode == 1
    last = found.stderr.splitlines()[-1]
    assert last.startswith(f"error: no Ray cluster at {address!r} lets us in")
    assert "is its token here" in last
