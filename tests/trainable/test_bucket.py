"""Folders in a bucket, against a server on loopback: whole or absent, checked, patient where told to be."""

import functools
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
import torch

from spaces import PRESETS
from tests.s3_server import BUCKET, Proxy, s3_server, url_of
from trainable import trial
from trainable.storage import bucket
from trainable.storage.bucket import BucketFolder
from trainable.storage.bucket_url import BucketUrl
from trainable.storage.checkpoint import discard_checkpoints, load_checkpoint, packed, save_checkpoint
from trainable.storage.folder import Folder, StorageError
from trainable.storage.local import LocalFolder
from trainable.storage.location import open_folder, under
from trainable.storage.mark import check_mark
from trainable.task import NO_STORAGE, Progress, TrialTask
from trainable.trial import TrialWorker, failed

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
TENSORS = {"weights": torch.arange(60.0).reshape(3, 20)}
STATE = {"reports": [{"step": 5, "objective": 1.25}]}
# Larger than what goes in one request: a multipart upload.
LARGE = {"weights": torch.zeros(6_000_000)}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with s3_server() as found:
        yield found


@pytest.fixture
def url(address: str, request: pytest.FixtureRequest) -> str:
    return url_of(address, request.node.name.replace("[", "-").replace("]", ""))


@pytest.fixture
def proxy(address: str) -> Iterator[Proxy]:
    between = Proxy(address)
    yield between
    between.close()


@pytest.fixture(params=["local", "bucket"])
def folder(request: pytest.FixtureRequest, address: str, tmp_path: Path) -> Folder:
    if request.param == "local":
        return open_folder(tmp_path / "new")
    return open_folder(url_of(address, f"{request.function.__name__}/new"))


def put(address: str, key: str, data: bytes) -> None:
    """Behind our back."""
    client = boto3.client("s3", endpoint_url=f"http://{address}", region_name="us-east-1")
    client.put_object(Bucket=BUCKET, Key=key, Body=data)


def test_folders_of_both_kinds_do_the_same(folder: Folder) -> None:
    assert folder.names() == []
    assert folder.read("a") is None
    folder.remove("a")
    for name, data in (("b", b"2"), ("a", b""), ("b", b"1" * 1000), ("c/d", b"3")):
        folder.write(name, data)
    assert folder.names() == ["a", "b"]
    assert folder.names(below=True) == ["a", "b", "c/d"]
    assert [folder.read(name) for name in ("a", "b", "c/d")] == [b"", b"1" * 1000, b"3"]
    folder.remove("a")
    folder.remove("b")
    assert folder.names(below=True) == ["c/d"]
    assert open_folder(under(folder.location, "c")).read("d") == b"3"


def test_a_flipped_byte_is_noticed_and_the_checkpoint_before_used(url: str, address: str) -> None:
    folder = open_folder(url)
    for step in (1, 2, 3):
        save_checkpoint(folder, step, packed(TENSORS), {**STATE, "step": step})
    assert len(folder.names()) == 4
    name = "000000003.safetensors"
    whole = folder.read(name)
    assert whole is not None
    flipped = whole[:-9] + bytes([whole[-9] ^ 0x10]) + whole[-8:]
    put(address, f"test_a_flipped_byte_is_noticed_and_the_checkpoint_before_used/{name}", flipped)
    found = load_checkpoint(folder)
    assert found is not None
    assert (found[0], found[2]["step"]) == (2, 2)
    assert torch.equal(found[1]["weights"], TENSORS["weights"])
    discard_checkpoints(folder)
    assert folder.names() == []


def test_an_upload_that_breaks_in_the_middle_leaves_the_checkpoint_before(
    url: str, address: str, proxy: Proxy
) -> None:
    folder = open_folder(url.replace(address, proxy.address))
    save_checkpoint(folder, 1, packed(LARGE), STATE)
    proxy.cut_after = 8_000_000
    with pytest.raises(StorageError, match="cannot be written: the server does not answer"):
        save_checkpoint(folder, 2, packed({"weights": LARGE["weights"] + 1}), STATE)
    assert proxy.num_cut
    proxy.cut_after = None
    found = load_checkpoint(folder)
    assert found is not None
    assert found[0] == 1
    save_checkpoint(folder, 2, packed(LARGE), STATE)
    assert (load_checkpoint(folder) or (0,))[0] == 2


def test_a_patient_caller_waits_for_a_server_that_comes_back(url: str, address: str, proxy: Proxy) -> None:
    proxy.up = False
    folder = open_folder(url.replace(address, proxy.address), patience_seconds=60)
    back = threading.Timer(2.5, functools.partial(setattr, proxy, "up", True))
    back.start()
    folder.write("a", b"1")
    assert folder.read("a") == b"1"


KILLED = """
import os, signal, sys, torch
from trainable.storage.bucket import BucketFolder
from trainable.storage.checkpoint import packed, save_checkpoint
from trainable.storage.bucket import BucketFolder
from trainable.storage.bucket_url import BucketUrl
from trainable.storage.location import open_folder

write = BucketFolder.write
def until_the_marker(self, name, data):
    if name == "000000002.json":
        os.kill(os.getpid(), signal.SIGKILL)
    write(self, name, data)
BucketFolder.write = until_the_marker
folder = open_folder(sys.argv[1])
for step in (1, 2):
    save_checkpoint(folder, step, packed({"weights": torch.full((5,), float(step))}), {})
"""


def test_killed_between_tensors_and_marker_the_checkpoint_before_counts(url: str) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, url], cwd=ROOT, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    folder = open_folder(url)
    assert "000000002.safetensors" in folder.names()
    found = load_checkpoint(folder)
    assert found is not None
    assert (found[0], found[1]["weights"].tolist()) == (1, [1.0] * 5)
    for step in (3, 4):
        save_checkpoint(folder, step, packed(TENSORS), STATE)
    assert [name for name in folder.names() if name.startswith("000000002")] == []


# What cannot be used is one line, soon


@pytest.mark.parametrize("kind", ["missing bucket", "nobody there", "silent"])
def test_what_is_wrong_is_said_in_one_line(address: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "REQUEST_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = {
            "missing bucket": url_of(address, bucket="not-there"),
            "nobody there": url_of("127.0.0.1:1"),
            "silent": url_of(f"127.0.0.1:{silent.getsockname()[1]}"),
        }[kind]
        folder = open_folder(place)
        with pytest.raises(StorageError) as caught:
            folder.write("a", b"1") if kind == "missing bucket" else folder.names()
    message = str(caught.value)
    assert message.startswith(place)
    assert "\n" not in message
    expected = "there is no such bucket" if kind == "missing bucket" else "the server does not answer"
    assert expected in message


@pytest.mark.parametrize(
    ("name", "expected"), [("not-there", "there is no such bucket"), (BUCKET, "is not what the driver sees")]
)
def test_a_bucket_that_is_gone_is_told_from_one_that_is_not_the_drivers(
    address: str, name: str, expected: str
) -> None:
    with pytest.raises(StorageError, match=expected):
        check_mark(open_folder(url_of(address, "runs/mine", bucket=name)), "study-0")


# A trial whose folder is in a bucket


@pytest.fixture
def worker(worker: Callable[[], TrialWorker], monkeypatch: pytest.MonkeyPatch) -> Callable[[], TrialWorker]:
    """Impatient, and with many checkpoints."""
    monkeypatch.setattr(trial, "STORAGE_PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(trial, "CHECKPOINT_SECONDS", 0.05)
    return worker


def task(location: object) -> TrialTask:
    schedule = PRESETS["ict"].schedule.to_dict()
    return TrialTask(number=0, schedule=schedule, seed=3, rungs=(60, 90, 120), folder=str(location))


def to_the_end(worker: TrialWorker) -> Progress:
    while (progress := worker.advance(pause_seconds=0)).outcome is None:
        pass
    return progress


def final_state(folder: Folder) -> dict[str, torch.Tensor]:
    found = load_checkpoint(folder)
    assert found is not None
    assert found[0] == 120
    return found[1]


def test_another_machine_goes_on_from_the_bucket_bit_by_bit(
    worker: Callable[[], TrialWorker], url: str, tmp_path: Path
) -> None:
    whole = worker()
    whole.begin(task(tmp_path))
    expected = to_the_end(whole)
    first = worker()
    first.begin(task(url))
    while first.advance(pause_seconds=0).step < 75:  # one step at a time: never at the next rung
        pass
    first.checkpoint()
    second = worker()  # knows nothing but the URL
    second.begin(task(url))
    replay = second.advance()
    assert [report["step"] for report in replay.reports] == [60]
    assert replay.step >= 75
    found = to_the_end(second)
    assert [r["objective"] for r in found.reports] == [r["objective"] for r in expected.reports]
    mine, theirs = final_state(open_folder(url)), final_state(LocalFolder(str(tmp_path)))
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    assert (open_folder(url).read("samples.png") or b"").startswith(b"\x89PNG")


def test_what_was_reported_is_in_the_bucket(worker: Callable[[], TrialWorker], url: str) -> None:
    run = worker()
    run.begin(task(url))
    for rung in (60, 90, 120):
        while (progress := run.advance(pause_seconds=0)).step < rung:
            pass
        found = load_checkpoint(open_folder(url))
        assert found is not None
        assert (found[0], found[2]["reports"]) == (rung, progress.reports)


def test_without_its_bucket_a_trial_is_not_failed_and_goes_on_later(
    worker: Callable[[], TrialWorker], url: str, address: str, proxy: Proxy
) -> None:
    there = task(url.replace(address, proxy.address))
    run = worker()
    run.begin(there)
    run.advance()
    proxy.up = False
    with pytest.raises(StorageError) as caught:
        to_the_end(run)
    answer = failed(there, caught.value)
    assert answer.outcome == NO_STORAGE
    assert answer.reason is not None
    assert socket.gethostname() in answer.reason
    assert "the server does not answer" in answer.reason
    proxy.up = True
    again = worker()
    again.begin(there)
    assert [report["step"] for report in again.advance().reports] == [60]
    assert to_the_end(again).outcome == "complete"


def test_a_file_of_any_size_goes_there_and_back_in_pieces(url: str, tmp_path: Path) -> None:
    folder, large = BucketFolder.at(BucketUrl.parse(url)), tmp_path / "large"
    large.write_bytes(bytes(range(256)) * 80_000)  # 20 MB: a multipart upload
    folder.upload("checkpoints/last.pt", large)
    assert folder.download("checkpoints/last.pt", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == large.read_bytes()
    assert folder.download("checkpoints/first.pt", tmp_path / "none") is False
    assert not (tmp_path / "none").exists()
    with pytest.raises(FileNotFoundError):
        folder.upload("none", tmp_path / "none")
