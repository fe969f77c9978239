"""A database lies in the folder that was meant, whatever the folder is called."""

import importlib.util
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import make_url

from search.cluster.head import databases
from search.errors import InputError
from search.file.spec import SearchSpec, load_spec
from search.machine import preflight
from search.machine.sqlite_url import for_mlflow, sqlite_file, sqlite_url
from search.study.store import StudyStore
from search.tracking.client import artifact_root, connect

ODD = (
    "a%2Fb what?#;&'\"()[ünï] $HOME :x."  # each of these means something in a URL, to a shell or to a library
)
NAMES = [
    "feature%2Fnew",
    "what?",
    "a#b",
    "a;b&c=d",
    "100%",
    "%25",
    'it\'s "it"',
    "ünï",
    "dot.",
    "new\nline",
    ODD,
]


def spec_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> SearchSpec:
    """A search that is started in `folder` and keeps its results in `runs` there."""
    monkeypatch.chdir(folder)
    Path("x.yaml").write_text("name: toy\ndata: digits\n")
    return load_spec("x.yaml")


@pytest.mark.parametrize("name", NAMES)
def test_a_url_leads_to_the_file_that_was_meant(name: str, tmp_path: Path) -> None:
    path = tmp_path / name / "x.db"
    assert make_url(sqlite_url(path)).database == str(path)
    for url in (sqlite_url(path), for_mlflow(sqlite_url(path))):
        assert make_url(url).get_backend_name() == "sqlite"
        assert sqlite_file(url) == path
        assert artifact_root(url, tmp_path) == tmp_path / name / "mlflow-artifacts"
    assert for_mlflow("http://127.0.0.1:5000") == "http://127.0.0.1:5000"


@pytest.mark.parametrize("name", NAMES)
def test_study_and_mlflow_are_two_files_below_the_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    spec = spec_in(folder, monkeypatch)
    assert make_url(spec.study_url_resolved).database == str(folder / "runs/toy/study.db")
    assert make_url(spec.mlflow_uri_resolved).database == str(folder / "runs/mlflow.db")


@pytest.mark.parametrize("name", ["feature%2Fnew", "what?"])
def test_a_study_is_made_and_found_again_there(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    spec = spec_in(folder, monkeypatch)
    StudyStore.create(spec.study_url_resolved, "toy", {"search": {}}).close()
    assert (folder / "runs/toy/study.db").is_file()
    assert os.listdir(tmp_path) == [name]
    assert StudyStore.open(spec.study_url_resolved, "toy") is not None


def test_the_services_databases_are_in_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / ODD
    folder.mkdir()
    urls = databases.prepare(None, folder)
    assert [make_url(url).database for url in (urls.study, urls.mlflow, urls.auth)] == [
        str(folder / f"{name}.db") for name in ("study", "mlflow", "mlflow-auth")
    ]
    assert databases.shown(urls.study).startswith(f"SQLite files in {folder} ")
    assert os.listdir(tmp_path) == [ODD]


def test_mlflow_keeps_runs_and_files_there_and_makes_nothing_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, sent = tmp_path / ODD, tmp_path / "sent"
    sent.mkdir()
    folder.mkdir()
    monkeypatch.chdir(folder)
    (sent / "a.txt").write_text("as it was")
    uri = sqlite_url(folder / "mlflow.db")
    client, root = connect(uri), artifact_root(uri, folder)
    assert root is not None
    run = client.create_run(client.create_experiment("toy", (root / "toy").as_uri()))
    client.log_artifacts(run.info.run_id, str(sent))
    [kept] = root.rglob("a.txt")
    assert kept.read_text() == "as it was"
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["a.txt"]
    assert sorted(os.listdir(tmp_path)) == sorted([ODD, "sent"])


def test_a_folder_that_no_url_can_name_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"no database can be kept in .*: the name is not UTF-8\. Name another"
    ):
        sqlite_url(tmp_path / os.fsdecode(b"\xff") / "x.db")


def test_a_place_that_mlflow_cannot_run_from_is_told_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow hands its own folder to alembic's configuration, where a % begins a name."""
    find = importlib.util.find_spec

    def moved(package: str) -> Any:
        if package == "mlflow":
            return SimpleNamespace(origin="/home/me/a%2Fb/.venv/mlflow/__init__.py")
        return find(package)

    monkeypatch.setattr(importlib.util, "find_spec", moved)
    [problem] = preflight.problems()
    assert problem.startswith(
        "MLflow cannot make its tables from a folder with % in its name, but is installed in /home/me/a%2Fb/.venv. "
    )
