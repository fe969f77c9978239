"""`doctor FILE`: what a search file needs of this machine, one line each with what to do. And the rehearsal's end."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from search.checks import needs
from search.checks.check import Check
from search.checks.rehearsal import check_rehearsal
from search.engine import storage_check
from search.errors import InputError
from search.file.spec import SearchSpec, spec_of
from search.file.yaml12 import Document
from trainable.data import fashion_mnist
from trainable.data.cifar10 import CIFAR10
from trainable.data.fashion_mnist import FashionMNIST
from trainable.extractors.inception import Inception


class Offers(BaseHTTPRequestHandler):
    """Has every file, and counts what is asked."""

    asked: list[str]

    def do_HEAD(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    Offers.asked = []
    server = HTTPServer(("127.0.0.1", 0), Offers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/{{name}}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCHEDULE_SEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path


def spec_for(**fields: object) -> SearchSpec:
    return spec_of(Document("x", {"name": "x", "data": "digits", **fields}, {}))


def findings(spec: SearchSpec, free_gib: float = 100.0) -> dict[str, Check]:
    return {check.name: check for check in needs.findings(spec, free_gib)}


def test_a_search_that_can_run_here_has_a_line_for_each_need() -> None:
    found = findings(spec_for(resources={"max_concurrent": 1}))
    assert {name: check.level for name, check in found.items()} == dict.fromkeys(
        ("slots", "memory", "data", "features"), "ok"
    )
    assert found["slots"].message == "1 trial at a time (cpu 1, gpu 0 each)"
    assert found["data"].message == "digits: 1797 images of 1x8x8"


def test_too_little_of_this_machine_is_told() -> None:
    assert (
        "`resources.cpu` is 4000, but this machine has"
        in findings(spec_for(resources={"cpu": 4000}))["slots"].message
    )
    low = findings(spec_for(resources={"max_concurrent": 1}), free_gib=1.0)["memory"]
    assert (low.level, low.remedy) == ("warn", "Free some")


def test_data_that_is_not_here_is_asked_for_and_not_fetched(
    address: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fashion_mnist, "URLS", (address,))
    check = findings(spec_for(data="fashion_mnist"))["data"]
    assert check.level == "ok"
    assert check.message.startswith("fashion_mnist is downloaded when the search is started (31 MB into ")
    assert len(Offers.asked) == 4
    assert list(here.iterdir()) == []
    monkeypatch.setattr(fashion_mnist, "URLS", ("http://127.0.0.1:9/{name}",))
    check = findings(spec_for(data="fashion_mnist"))["data"]
    assert check.level == "fail"
    assert "cannot be downloaded (http://127.0.0.1:9/" in check.message
    assert check.remedy.startswith("Put there by hand: train-images-idx3-ubyte.gz, ")


def test_data_in_a_folder_of_the_users_must_be_there(here: Path) -> None:
    check = findings(spec_for(data={"name": "fashion_mnist", "root": str(here)}))["data"]
    assert (check.level, check.message.startswith("Fashion-MNIST's train-images")) == ("fail", True)


def test_what_is_downloaded_is_what_is_loaded(here: Path) -> None:
    assert [remote.path.name for remote in FashionMNIST().downloads(here)] == list(fashion_mnist.FILES)
    assert FashionMNIST(root="x").downloads(here) == ()
    assert [remote.num_bytes for remote in CIFAR10().downloads(here)] == [170052171]
    assert CIFAR10(root="x").downloads(here) == ()
    assert [remote.path.parent for remote in Inception().downloads(here)] == [here / "extractors"]
    assert Inception(weights_path="x").downloads(here) == ()


def test_a_bucket_is_written_to_as_the_search_does(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def refuse(location: str) -> None:
        asked.append(location)
        raise InputError("storage.path: s3://bucket/runs cannot be listed")

    monkeypatch.setattr(storage_check, "check_here", refuse)
    check = findings(spec_for(storage={"path": "s3://bucket/runs"}))["storage"]
    assert (check.level, check.message) == ("fail", "storage.path: s3://bucket/runs cannot be listed")
    assert asked == ["s3://bucket/runs/x"]


def test_a_rehearsal_that_does_not_end_is_ended_and_told() -> None:
    [check] = check_rehearsal(longest_seconds=0.2)
    assert check.level == "fail"
    assert "had not ended after" in check.message


def test_a_rehearsal_that_breaks_says_why(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    (here / "torch").mkdir()
    (here / "torch" / "__init__.py").write_text("raise OSError('libbroken.so: cannot open')\n")
    monkeypatch.setenv("PYTHONPATH", str(here))
    [check] = check_rehearsal()
    assert check.level == "fail"
    assert "ended with exit code" in check.message
    assert "libbroken.so: cannot open" in check.message
