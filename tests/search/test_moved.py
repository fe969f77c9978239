"""A search whose folder was moved or copied is the one in that folder, for every verb."""

import json
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from search import cli
from search.errors import InputError
from search.policy.conductor import Conductor
from search.record import Report
from search.running.search import Search
from search.running.tracked import parent_info, projection_of
from tests.search.test_search import ASSETS, TEXT

# MLflow 3.17 on SQLAlchemy 2.1; MLflow's to change.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


def started(folder: Path, text: str = TEXT) -> Search:
    """A search that is kept in runs/ of the current directory, with two ended trials and one that is open."""
    (folder / "toy.yaml").write_text(text)
    search = Search.open("toy.yaml")
    search.folder.mkdir(parents=True)
    search.open_or_create(ASSETS)
    search.write_file()
    (search.folder / "search.log").touch()
    trained(search, 2)
    return search


def trained(search: Search, num_trials: int) -> None:
    conductor = Conductor(search.plan(), search.store)
    for _ in range(num_trials):
        trial = conductor.next()
        assert trial is not None
        conductor.observe(
            trial.number, conductor.plan.rungs[-1], [Report(2000, 50.0 + trial.number, 0)], "complete"
        )


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["toy", "backup/toy/search.yaml"])
def test_a_copy_is_another_search(here: Path, name: str) -> None:
    original = started(here)
    shutil.copytree("runs", "backup")
    copy = Search.open(name, "backup")
    assert copy.folder == here / "backup/toy"
    assert copy.spec.trials == str(here / "backup/toy")
    assert copy.spec.mlflow_uri_resolved == f"sqlite:///{here}/backup/mlflow.db"
    trained(copy, 1)
    assert len(Search.open(name, "backup").records()) == 3
    assert len(Search.open("toy").records()) == len(original.records()) == 2
    more = copy.amended({"budget.max_trials": 9})
    assert Search.open(name, "backup").spec.budget.max_trials == 9 and more.folder == copy.folder
    assert Search.open("toy").spec.budget.max_trials == 3


@pytest.mark.parametrize("place", ["moved", "/elsewhere"])
def test_what_was_moved_is_found_by_every_verb(
    here: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    started(here)
    storage = here / place.strip("/")
    Path("runs").rename(storage)
    for verb in ("status", "leaderboard"):
        assert cli.main([verb, "toy", "--storage", str(storage), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
    assert cli.main(["status", "--storage", str(storage), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["searches"]
    assert (found["state"], found["trials"]["ended"]) == ("stopped", 2)
    assert Search.open("toy", str(storage)).command("resume").endswith(f"--storage {storage}")
    assert not Path("runs").exists()


def test_a_copy_beside_the_original_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    started(here)
    shutil.copytree("runs/toy", "runs/toy2")
    assert cli.main(["leaderboard", "toy2"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "holds the search 'toy', whose folder must be called 'toy'" in error


@pytest.mark.parametrize("field", ["study_url", "mlflow_uri"])
def test_a_copy_that_shares_a_database_with_its_original_is_refused(here: Path, field: str) -> None:
    started(here, TEXT + f"storage: {{{field}: 'sqlite:///{here}/shared.db'}}\n")
    shutil.copytree("runs", "backup")
    with pytest.raises(
        InputError, match=r"backup/toy is a copy of .*runs/toy, but its .*shared\.db, was not"
    ):
        Search.open("toy", "backup")
    shutil.rmtree("runs")  # moved, then
    assert len(Search.open("toy", "backup").records()) == 2


def test_a_file_of_the_user_that_is_called_so_is_a_file(here: Path) -> None:
    folder = here / "toy"
    folder.mkdir()
    (folder / "search.yaml").write_text(TEXT)
    assert Search.open("toy/search.yaml").folder == here / "runs/toy"


def test_mlflow_keeps_the_files_of_a_copy_with_the_copy(here: Path) -> None:
    original = started(here)
    before = projection_of(original)
    before.sync_parent(parent_info(original, "KILLED"))
    for record in original.records():
        before.sync(record)
    files = {path for path in Path("runs").rglob("*") if path.is_file()}
    shutil.copytree("runs", "backup")
    copy = Search.open("toy", "backup")
    trained(copy, 1)
    projection = projection_of(copy)
    projection.sync_parent(parent_info(copy, "KILLED"))
    for record in copy.records():
        projection.sync(record)
    assert {path for path in Path("runs").rglob("*") if path.is_file()} == files
    client = MlflowClient(copy.spec.mlflow_uri_resolved)
    runs = client.search_runs([projection.runs.experiment_id])
    assert len(runs) == 4
    for run in runs:
        assert run.info.artifact_uri.startswith((here / "backup/mlflow-artifacts/toy").as_uri())
        assert client.list_artifacts(run.info.run_id)
