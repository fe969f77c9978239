"""A server and all that it started are found by their mark and ended, whoever of them was killed before."""

import os
import signal
import time
from pathlib import Path

import pytest

from search.cluster.head import processes


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_children_that_outlive_their_server_are_ended_and_those_of_others_are_not(tmp_path: Path) -> None:
    mark, log = f"{tmp_path}:", tmp_path / "log"
    script = "echo started; sleep 60 & sleep 60 & wait"
    servers = [processes.start(["sh", "-c", script], {}, f"{mark}{name}:", log) for name in ("a", "ab")]
    deadline = time.monotonic() + 30
    while not all(len(children(server.pid)) == 2 for server in servers):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    first, other = (children(server.pid) for server in servers)
    assert log.read_text().count("started") == 2
    assert log.stat().st_mode & 0o777 == 0o600
    os.kill(servers[0].pid, signal.SIGKILL)
    os.kill(first[0], signal.SIGSTOP)
    assert servers[0].wait(10) == -signal.SIGKILL
    assert processes.end(f"{mark}a:")
    assert not [pid for pid in first if is_running(pid)]
    assert all(is_running(pid) for pid in other)
    assert processes.end(mark)
    assert servers[1].wait(10) == -signal.SIGTERM
    assert not [pid for pid in other if is_running(pid)]
    assert not processes.end(mark)


def test_one_that_ends_just_before_it_is_told_to_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = processes.start(["sleep", "60"], {}, f"{tmp_path}:a:", tmp_path / "log")
    send = signal.pidfd_send_signal

    def too_late(process: int, sent: signal.Signals) -> None:
        server.kill()
        server.wait(10)
        send(process, sent)

    monkeypatch.setattr(signal, "pidfd_send_signal", too_late)
    assert processes.end(f"{tmp_path}:")


def test_what_does_not_go_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    server = processes.start(["sh", "-c", script], {}, f"{tmp_path}:a:", log)
    deadline = time.monotonic() + 30
    while "ready" not in log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert processes.end(f"{tmp_path}:", patience=0.3)
    assert server.wait(10) == -signal.SIGKILL
