"""A script as a trial whose storage is a bucket: what it writes is there, and it goes on from it on another machine."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.trainable.test_script_worker import FOREVER, HEAD, task, to_the_end, until
from trainable.command import mirror, process
from trainable.command.mirror import PACKED_CODE, Mirror
from trainable.command.script import Script
from trainable.command.worker import ScriptWorker
from trainable.storage.folder import StorageError
from trainable.storage.local import LocalFolder
from trainable.task import Progress

TRIAL, CODE = "s3://bucket/runs/mine/trials/00000", "s3://bucket/runs/mine/code/abc"
WELL = """
kept = os.path.join(folder, "checkpoints", "step")
done = int(open(kept).read()) if os.path.exists(kept) else 0
print("from", done, sorted(os.listdir(folder)))
for step in map(int, rungs.split(",")):
    if step > done:
        report(step=step, fid=1000 / step, files=["samples.png"])
        os.makedirs(os.path.dirname(kept), exist_ok=True)
        open(kept + ".new", "w").write(str(step))
        os.replace(kept + ".new", kept)
        open(os.path.join(folder, "samples.png"), "w").write(f"picture {step}")
        if step == 100 and not done: time.sleep(600)
"""
Make = Callable[..., ScriptWorker]


class Bucket(LocalFolder):
    """A bucket in a folder. sent: names, in the order in which they came. away: it does not answer."""

    root: Path
    sent: list[str]
    away = False

    def __init__(self, location: str, patience_seconds: float = 0.0):
        super().__init__(str(self.root / location.removeprefix("s3://")))

    def upload(self, name: str, path: Path) -> None:
        if self.away:
            raise StorageError("the server does not answer")
        type(self).sent.append(name)
        self.write(name, path.read_bytes())

    def download(self, name: str, path: Path) -> bool:
        data = self.read(name)
        if data is not None:
            path.write_bytes(data)
        return data is not None


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[Bucket]:
    """What trials write to; temporary folders are in tmp_path/here."""

    class Its(Bucket):
        root, sent = tmp_path / "there", []

    (tmp_path / "here").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "here"))
    monkeypatch.setattr(process, "GRACE_SECONDS", 0.5)
    monkeypatch.setattr(mirror, "bucket_at", Its)
    return Its


@pytest.fixture
def make(bucket: type[Bucket], tmp_path: Path) -> Iterator[Make]:
    """`make(lines)`: a worker, as on a new machine, that has begun the trial with a script of these lines."""
    workers = []

    def made(text: str, *, resumes: bool = True) -> ScriptWorker:
        code = tmp_path / "code"
        code.mkdir(exist_ok=True)
        (code / "train.sh").write_text(f'#!/bin/sh\nexec {sys.executable} train.py "$@"\n')
        (code / "train.sh").chmod(0o755)
        (code / "train.py").write_text(HEAD + text)
        (tmp_path / PACKED_CODE).unlink(missing_ok=True)
        with tarfile.open(tmp_path / PACKED_CODE, "w") as archive:
            archive.add(code, ".")
        bucket(CODE).write(PACKED_CODE, (tmp_path / PACKED_CODE).read_bytes())
        words = ("./train.sh", "{schedule}", "{seed}", "{folder}", "{total_steps}", "{rungs}")
        script = Script(
            command=words,
            code=CODE,
            code_sha256="abc",
            objective="fid",
            counter="step",
            resumes=resumes,
            patience_seconds=60.0,
        )
        worker = ScriptWorker(script, {"PYTHONUNBUFFERED": "1"}, clock=lambda: 5.0)
        workers.append(worker)
        worker.begin(task(tmp_path, folder=TRIAL))
        return worker

    yield made
    for worker in workers:
        worker.end()


def there(bucket: type[Bucket]) -> list[str]:
    return bucket(TRIAL).names(below=True)


def is_here(directory: Path, name: str) -> bool:
    """Whether the script has written the file."""
    return any((directory / "here").glob(f"*/trial/{name}"))


def began(bucket: type[Bucket]) -> list[str]:
    log = bucket(TRIAL).read("output.log") or b""
    return [line for line in log.decode().splitlines() if line.startswith("from")]


def test_what_a_script_has_reported_is_in_the_bucket_and_nothing_stays_here(
    make: Make, bucket: type[Bucket], tmp_path: Path
) -> None:
    worker = make(WELL.replace("600", "0"))
    progress = worker.advance()
    assert progress.step == 100
    (reports,) = (json.loads(bucket(TRIAL).read(name) or b"") for name in ("read.json",))
    assert [report["step"] for report in reports["taken"]] == [100]
    assert to_the_end(worker).outcome == "complete"
    assert there(bucket) == [
        *("checkpoints/step", "output.log", "read.json", "reports.jsonl", "samples.png", "schedule.json")
    ]
    assert bucket(TRIAL).read("samples.png") == b"picture 400"
    worker.end()
    assert list((tmp_path / "here").iterdir()) == []


def test_a_script_goes_on_on_another_machine(make: Make, bucket: type[Bucket], tmp_path: Path) -> None:
    first = make(WELL)
    assert first.advance().step == 100
    until(lambda: is_here(tmp_path, "checkpoints/step"))
    first.end()
    shutil.rmtree(tmp_path / "here")
    (tmp_path / "here").mkdir()
    second = make(WELL)
    progress = second.advance()  # what the driver perhaps did not hear
    assert [report["step"] for report in progress.reports] == [100]
    assert [report["objective"] for report in to_the_end(second).reports] == [10.0, 5.0, 2.5]
    assert [line.split()[1] for line in began(bucket)] == ["0", "100"]


def test_a_script_that_is_stopped_for_good_leaves_no_checkpoint_there(
    make: Make, bucket: type[Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "SEND_SECONDS", 0.0)
    worker = make(WELL)
    assert worker.advance().step == 100

    def sent() -> bool:
        worker.advance(0.05)
        return "checkpoints/step" in there(bucket)

    until(sent)
    bucket(TRIAL).remove("checkpoints/step")  # by the driver
    worker.end(is_over=True)
    assert "checkpoints/step" not in there(bucket)
    assert "output.log" in there(bucket)


def test_a_machine_that_is_lost_costs_what_came_after_the_last_rung(
    make: Make, bucket: type[Bucket], tmp_path: Path
) -> None:
    lost = make(WELL)
    assert lost.advance().step == 100
    Bucket.away = True  # nothing of its end arrives
    try:
        lost.end()
    finally:
        Bucket.away = False
    second = make(WELL.replace("600", "0"))
    second.advance()
    assert to_the_end(second).outcome == "complete"


def test_a_script_that_cannot_resume_begins_in_an_empty_folder_there_too(
    make: Make, bucket: type[Bucket], tmp_path: Path
) -> None:
    first = make(WELL, resumes=False)
    assert first.advance().step == 100
    until(lambda: is_here(tmp_path, "samples.png"))
    first.end()
    assert "samples.png" in there(bucket)
    second = make(WELL.replace("600", "0"), resumes=False)
    second.advance()
    assert to_the_end(second).outcome == "complete"
    assert began(bucket)[1] == "from 0 ['output.log', 'read.json', 'schedule.json']"


def test_reports_come_before_the_checkpoints_and_what_a_script_removes_goes(
    bucket: type[Bucket],
) -> None:
    kept = Mirror(TRIAL, 0.0)
    kept.fetch()
    (kept.folder / "checkpoints").mkdir()
    for name in ("a.png", "checkpoints/100.pt", "output.log", "read.json", "reports.jsonl"):
        (kept.folder / name).write_text(name)
    kept.send_now()
    assert bucket.sent == ["reports.jsonl", "read.json", "a.png", "output.log", "checkpoints/100.pt"]
    kept.send_now()
    assert len(bucket.sent) == 5  # nothing is sent twice
    (kept.folder / "checkpoints/100.pt").unlink()
    (kept.folder / "checkpoints/200.pt").write_text("later")
    kept.send_now()
    assert bucket.sent[5:] == ["checkpoints/200.pt"]
    assert "checkpoints/100.pt" not in there(bucket)
    kept.close()


def test_a_checkpoint_is_sent_as_it_was_when_its_report_was_written(
    bucket: type[Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that writes the next one meanwhile: the reports that are there know nothing of it."""
    kept = Mirror(TRIAL, 0.0)
    kept.fetch()
    last = kept.folder / "checkpoints" / "last.pt"
    last.parent.mkdir()
    last.write_text("100")
    (kept.folder / "reports.jsonl").write_text("100")
    upload = bucket.upload

    def later(self: Bucket, name: str, path: Path) -> None:
        upload(self, name, path)
        if name == "reports.jsonl":
            (last.parent / "new").write_text("200")
            os.replace(last.parent / "new", last)

    monkeypatch.setattr(bucket, "upload", later)
    kept.send_now()
    assert bucket(TRIAL).read("checkpoints/last.pt") == b"100"
    kept.send_now()
    assert bucket(TRIAL).read("checkpoints/last.pt") == b"200"
    kept.close()


def test_between_rungs_files_are_sent_about_every_minute(
    make: Make, bucket: type[Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "SEND_SECONDS", 0.0)
    worker = make("report(step=1)\nprint('training', flush=True)" + FOREVER)

    def sent() -> bool:
        worker.advance(0.05)
        return b"training" in (bucket(TRIAL).read("output.log") or b"")

    until(sent)


def test_a_bucket_that_does_not_answer_is_no_fault_of_the_trial(make: Make, bucket: type[Bucket]) -> None:
    worker = make(WELL.replace("600", "0"))
    bucket.away = True
    with pytest.raises(StorageError, match="does not answer"):
        worker.advance()
    worker.end()


def test_code_that_is_gone_is_told(make: Make, bucket: type[Bucket], tmp_path: Path) -> None:
    worker = make(WELL.replace("600", "0"))
    bucket(CODE).remove(PACKED_CODE)
    with pytest.raises(StorageError, match=r"has no code.tar: it was removed"):
        worker.begin(task(tmp_path, folder=TRIAL))


OTHER = """
import sys, tempfile, time
from trainable.command.mirror import Mirror
tempfile.tempdir = sys.argv[1]
kept = Mirror("s3://bucket/other", 0.0)
print(kept.folder.parent, flush=True)
time.sleep(600)
"""


def test_what_a_killed_worker_has_left_is_removed_by_the_next(bucket: type[Bucket], tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, tmp_path / "here"], cwd=root, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        left = Path(other.stdout.readline().strip())
        Mirror(TRIAL, 0.0).close()
        assert left.is_dir()  # it is in use
        other.kill()
    Mirror(TRIAL, 0.0).close()
    assert not left.exists()


def test_a_failure_names_the_log_in_the_bucket(make: Make, bucket: type[Bucket]) -> None:
    progress: Progress = to_the_end(make("print('bye')\nsys.exit(3)"))
    assert progress.reason == f"it ended with exit code 3, and said last: bye ({TRIAL}/output.log)"
    assert b"bye" in (bucket(TRIAL).read("output.log") or b"")
