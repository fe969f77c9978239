"""Searches whose trials keep their checkpoints in a bucket (moto's server, on loopback)."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from search.record import Purpose, State, TrialRecord
from search.study.store import StudyStore
from tests.integration.running import ROOT, VARIED, finish, start, toy, until
from tests.s3_server import remove_bucket, s3_server, url_of
from trainable.storage.location import open_folder

pytestmark = pytest.mark.integration

SEARCH = toy(300, 5, f"{VARIED}sampling: {{nfe: [2]}}\n")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with s3_server() as found:
        yield found


def search_file(folder: Path, storage: str) -> Path:
    """The study lies outside of a driver's own folder, as on a cluster."""
    path = folder / "toy.yaml"
    path.write_text(
        f'{SEARCH}\nstorage: {{path: "{storage}", study_url: "sqlite:///{folder}/study.db", '
        f'mlflow_uri: "sqlite:///{folder}/mlflow.db"}}\n'
    )
    return path


def start_at(home: Path, *arguments: object) -> subprocess.Popen[str]:
    """A command on a machine with this state folder."""
    return start(*arguments, SCHEDULE_SEARCH_HOME=str(home))


def wait_for_checkpoint(storage: str) -> None:
    kept = open_folder(storage)
    until(lambda: any(name.endswith(".json") for name in kept.names(below=True)), 120, "a checkpoint is kept")


def records_of(folder: Path) -> dict[int, TrialRecord]:
    store = StudyStore.open(f"sqlite:///{folder}/study.db", "toy")
    assert store is not None
    return {record.number: record for record in store.records()}


def test_a_search_goes_on_elsewhere_from_study_and_bucket_alone(address: str, tmp_path: Path) -> None:
    storage = url_of(address, "lost-head")
    file = search_file(tmp_path, storage)
    process = start_at(tmp_path / "one", "run", file)
    wait_for_checkpoint(storage)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = records_of(tmp_path)

    code, _, err = finish(start_at(tmp_path / "two", "run", file, "--output", tmp_path / "best.json"))
    assert (code, err) == (0, "")
    after = records_of(tmp_path)
    assert all(record.state in (State.COMPLETE, State.STOPPED) for record in after.values())
    assert sum(record.purpose is Purpose.SEARCH for record in after.values()) == 4
    for number, record in before.items():
        known = {report.step: report.objective for report in record.reports}
        assert known.items() <= {r.step: r.objective for r in after[number].reports}.items()

    # Of what the trials kept, pictures stay of all, models of the best; nothing of a trial is on the driver's disk.
    names = open_folder(storage).names(below=True)
    assert len([name for name in names if name.endswith("samples.png")]) == len(after)
    with_model = {int(name.split("/")[2]) for name in names if name.endswith(".safetensors")}
    searched = [r for r in after.values() if r.purpose is Purpose.SEARCH and r.state is State.COMPLETE]
    best = sorted(searched, key=lambda record: record.objective or 0)[:2]
    others = {r.number for r in after.values() if r.replicate_of is not None or r.purpose is Purpose.BASELINE}
    assert with_model == {record.number for record in best} | others
    assert not list(tmp_path.rglob("*.safetensors"))
    assert len(list(tmp_path.glob("**/artifacts/samples.png"))) == len(after)

    # The winner's model was read from the bucket, and what was measured on it is kept there.
    assert len([name for name in names if name.endswith("sampling.json")]) == 1
    assert '"measured": {' in (tmp_path / "best.json").read_text()

    # Another study of that name may not use the place.
    (tmp_path / "other").mkdir()
    code, _, err = finish(start_at(tmp_path / "three", "run", search_file(tmp_path / "other", storage)))
    assert code == 2
    assert err.count("\n") == 1
    assert "holds trials of another study" in err


def test_without_its_bucket_a_search_stops_with_one_line_and_no_trial_is_failed(
    address: str, tmp_path: Path
) -> None:
    client = boto3.client("s3", endpoint_url=f"http://{address}", region_name="us-east-1")
    client.create_bucket(Bucket="taken-away")
    storage = url_of(address, bucket="taken-away")
    process = start_at(tmp_path / "home", "run", search_file(tmp_path, storage))
    wait_for_checkpoint(storage)
    remove_bucket("taken-away")
    code, _, err = finish(process)
    assert code == 1
    assert err.count("\n") == 1
    assert "cannot keep its checkpoints, on " in err
    assert "there is no such bucket" in err
    assert "the same command goes on where this stopped" in err
    assert State.FAILED not in {record.state for record in records_of(tmp_path).values()}


def test_a_machine_without_the_folder_of_the_search_stops_it_with_one_line(tmp_path: Path) -> None:
    storage = tmp_path / "runs"
    process = start_at(tmp_path / "home", "run", search_file(tmp_path, str(storage)))
    wait_for_checkpoint(str(storage))
    for mark in (storage / "toy").glob(
        "study-*"
    ):  # what a machine would see whose path is a folder of its own
        mark.unlink()
    code, _, err = finish(process)
    assert code == 1
    assert err.count("\n") == 1
    assert f"{storage}/toy is not what the driver sees there" in err
    assert "the same command goes on where this stopped" in err
    assert State.FAILED not in {record.state for record in records_of(tmp_path).values()}


def test_every_node_is_asked_whether_it_can_use_the_storage(address: str, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    missing = url_of(address, bucket="not-there")
    asked = subprocess.run(
        [sys.executable, "-c", NODES, str(tmp_path / "shared"), url_of(address, "nodes"), missing],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert asked.returncode == 0, asked.stderr
    folder, bucket, nowhere = asked.stdout.splitlines()
    assert (folder, bucket) == ("shared", "shared")
    assert nowhere.startswith(f"storage.path: {missing} cannot be written: there is no such bucket")
    assert open_folder(url_of(address, "nodes")).names() == []


NODES = """
import sys
from search.errors import InputError
from search.engine.ray_here import local_ray
from search.engine.storage_check import check_shared

with local_ray(num_cpus=1, num_gpus=0):
    for location in sys.argv[1:]:
        try:
            check_shared(location)
            print("shared")
        except InputError as error:
            print(error)
"""
