"""Where a search is kept: on the driver's machine, and what its trials keep."""

from pathlib import Path

import pytest

from search import cli
from search.errors import InputError
from search.file.spec import load_spec
from search.machine.search_folders import local_root

BUCKET = "s3://bucket/runs?region=eu-west-1"


def search_file(folder: Path, storage: str) -> Path:
    path = folder / "toy.yaml"
    path.write_text(f"name: toy\ndata: digits\nstorage: {{path: '{storage}'}}\n")
    return path


def test_with_a_bucket_the_drivers_files_are_in_the_state_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCHEDULE_SEARCH_HOME", str(tmp_path / "home"))
    spec = load_spec(search_file(tmp_path, BUCKET))
    assert spec.folder == tmp_path / "home/storage/s3/bucket/runs/toy"
    assert spec.trials == "s3://bucket/runs/toy?region=eu-west-1"
    assert spec.study_url_resolved == f"sqlite:///{spec.folder}/study.db"
    assert spec.mlflow_uri_resolved == f"sqlite:///{spec.folder.parent}/mlflow.db"
    assert load_spec(search_file(tmp_path, spec.resolved()["storage"]["path"])) == spec
    assert not (tmp_path / "home").exists()


def test_two_servers_with_a_bucket_of_one_name_are_two_places() -> None:
    roots = {
        local_root("s3://bucket/a"),
        local_root("s3://bucket/a?endpoint_override=one:9000"),
        local_root("s3://bucket/a?endpoint_override=two:9000&scheme=http"),
        local_root("gs://bucket/a"),
    }
    assert len(roots) == 4


def test_with_a_folder_everything_is_there(tmp_path: Path) -> None:
    spec = load_spec(search_file(tmp_path, str(tmp_path / "runs")))
    assert spec.folder == tmp_path / "runs/toy"
    assert spec.trials == str(spec.folder)


def test_a_storage_that_cannot_be_meant_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = search_file(tmp_path, "s3://me:hunter2@bucket/runs")
    assert cli.main(["run", str(file), "--dry-run"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {file}:3: storage.path: must not hold keys or passwords")
    assert error.count("\n") == 1
    assert "hunter2" not in error
    with pytest.raises(InputError, match="the storage must be a folder, s3://"):
        local_root("ftp://host/runs")
