"""One driver for one study in a real PostgreSQL, whatever machines and failures there are."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from search.errors import OperationFailed
from search.file.spec import load_spec
from search.study import lock as study_lock
from search.study.lock import only_driver_of
from search.study.store import StudyStore
from tests.integration.postgres import Postgres
from tests.integration.running import ROOT, finish, start

pytestmark = pytest.mark.integration

HEADER = {
    **{"search": {}, "identity": {}, "objective": "fd", "data_sha256": "0", "extractor_sha256": "1"},
    **{"versions": {}, "git_commit": None},
}

HOLDER = """
import sys, threading, time
from search.study.store import StudyStore
from search.study.lock import only_driver_of

store = StudyStore.open(sys.argv[1], "toy")
with only_driver_of(store, sys.argv[1], "toy", threading.Event()):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    server = Postgres()
    try:
        server.start()
        StudyStore.create(server.url, "toy", {**HEADER, "study_id": "ff00000000000001"}).close()
        yield server
    finally:
        server.remove()


@contextmanager
def driver(server: Postgres, interrupted: threading.Event | None = None) -> Iterator[None]:
    """Hold the study, as a driver on a machine of its own would."""
    store = StudyStore.open(server.url, "toy")
    assert store is not None
    try:
        with only_driver_of(store, server.url, "toy", interrupted or threading.Event()):
            yield
    finally:
        store.close()


def test_a_search_is_found_by_its_name_and_the_password_comes_from_outside(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", server.password)
    folder = tmp_path / "found"
    folder.mkdir()
    address = server.url.replace(f":{server.password}@", "@")
    (folder / "search.yaml").write_text(
        f"name: found\ndata: digits\nstorage: {{path: {tmp_path}, study_url: '{address}'}}\n"
    )
    spec = load_spec(folder / "search.yaml")
    (folder / "search.yaml").write_text(spec.to_yaml())  # as `run` keeps it
    StudyStore.create(spec.study_url_resolved, "found", {**HEADER, "study_id": "ff00000000000002"}).close()
    asked = ("leaderboard", "found", "--storage", tmp_path)
    code, out, err = finish(start(*asked))
    assert (code, err) == (0, "")
    assert out.startswith("found: fd_digits_cnn")
    monkeypatch.delenv("PGPASSWORD")
    code, _, err = finish(start(*asked, HOME=str(tmp_path)))
    assert code == 2
    assert "no password supplied" in err and err.count("\n") == 1


def wait_until_free(server: Postgres) -> None:
    for _ in range(100):
        try:
            with driver(server):
                return
        except OperationFailed:
            time.sleep(0.1)
    raise AssertionError("the lock is never free")


def test_another_driver_is_refused_until_the_first_has_gone_killed_or_not(server: Postgres) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, server.url], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(OperationFailed, match=rf"is being run by process {holder.pid} on "), driver(server):
        pass
    holder.kill()
    holder.communicate()
    wait_until_free(server)


def test_a_driver_keeps_its_study_over_a_crash_of_the_server(
    server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_lock, "LOOK_SECONDS", 0.1)
    interrupted = threading.Event()
    with driver(server, interrupted):
        server.kill()
        server.start()
        for _ in range(100):
            if server.query("select 1 from pg_locks where locktype = 'advisory'"):
                break
            time.sleep(0.1)
        with pytest.raises(OperationFailed, match="is being run by process"), driver(server):
            pass
        assert not interrupted.is_set()
    wait_until_free(server)


def test_a_driver_that_lost_its_study_to_another_stops(
    server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_lock, "LOOK_SECONDS", 3.0)
    monkeypatch.setattr(study_lock, "TAKE_SECONDS", 0.5)
    interrupted = threading.Event()

    def lose_it() -> None:
        with driver(server, interrupted):
            server.query("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'")
            with driver(server):
                assert interrupted.wait(60)

    with pytest.raises(OperationFailed, match="was taken over by another driver"):
        lose_it()
