"""MLflow's SQLite file: whole or absent, damage told with its remedy, and brought up to date by a finished search."""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from search import cli
from search.policy.conductor import Conductor
from search.running.audience import bring_up_to_date
from search.running.known import PAGE_FILE
from search.running.search import Search
from search.running.tracked import parent_info, projection_of
from search.tracking import Leftover, Projection, database
from search.tracking.client import connect, is_refusal
from search.tracking.database import DamagedDatabase, make_database
from tests.search.test_conductor import drive
from tests.search.test_search import ASSETS, TEXT

# MLflow 3.17 on SQLAlchemy 2.1; MLflow's to change.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    connect(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def path(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(made, tmp_path / "mlflow.db"))


def changed(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_a_process_that_is_killed_while_it_makes_the_file_leaves_none(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    code = (
        "import os, signal, sqlite3, sys; from pathlib import Path; from search.tracking import database\n"
        "def half_made(path, artifacts):\n"
        "    sqlite3.connect(path).execute('create table experiments (a)')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "database.make_tables = half_made\n"
        f"database.make_database(Path({str(path)!r}), Path('/x'))"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=120
    )
    assert killed.returncode == -9
    assert [left.suffix for left in tmp_path.iterdir()] == [".tmp"]
    path.write_bytes(b"")  # as SQLite leaves a file that it has just begun
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(database, "make_tables", lambda temporary, _: shutil.copy(made, temporary))
        make_database(path, tmp_path)
    assert [left.name for left in tmp_path.iterdir()] == ["mlflow.db"]
    assert len(connect(f"sqlite:///{path}").search_experiments()) == 1


def test_what_interrupts_the_making_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(path: Path, artifacts: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(database, "make_tables", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_database(tmp_path / "a" / "mlflow.db", tmp_path)
    assert list((tmp_path / "a").iterdir()) == []


def test_a_file_that_is_there_is_not_made_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "make_tables", lambda *_: pytest.fail("made"))
    make_database(path, path.parent)


DAMAGES = [
    ["DROP TABLE runs"],
    ["DROP TABLE experiments"],
    ["DELETE FROM alembic_version"],
    ["UPDATE alembic_version SET version_num = 'x'"],
    ["DROP TABLE alembic_version", "DROP TABLE metrics"],
]


def spoilt(path: Path, damage: list[str] | bytes | float) -> None:
    if isinstance(damage, list):
        changed(path, *damage)
    elif isinstance(damage, bytes):
        path.write_bytes(damage)
    else:
        changed(path, "pragma wal_checkpoint(truncate)")
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * damage)])


@pytest.mark.parametrize("damage", [*DAMAGES, b"no database\n" * 999, 0.5, 0.9])
def test_damage_is_one_line_with_its_remedy(path: Path, damage: list[str] | bytes | float) -> None:
    spoilt(path, damage)
    projection = Projection(
        f"sqlite:///{path}", search_name="toy", objective="fd", total_steps=9, folder=path.parent
    )
    with pytest.raises(DamagedDatabase) as raised:
        _ = projection.runs.parent
    text = str(raised.value)
    assert is_refusal(raised.value)
    assert text.startswith(f"MLflow's database {path} is ") and "\n" not in text
    assert "reconcile" in text or "mlflow db upgrade" in text


def test_doctor_opens_it_as_a_search_does(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed(path, "DROP TABLE runs")
    file = path.parent / "toy.yaml"
    file.write_text(f"{TEXT}storage: {{path: {path.parent}}}\n")
    assert cli.main(["doctor", str(file), "--quick", "--json"]) == 1
    failed = [check for check in json.loads(capsys.readouterr().out)["checks"] if check["level"] == "fail"]
    assert [check["name"] for check in failed] == ["mlflow"]
    assert "is damaged" in failed[0]["message"] and "remove it" in failed[0]["remedy"]


@pytest.fixture
def finished(path: Path, monkeypatch: pytest.MonkeyPatch) -> Search:
    """A finished search, of which MLflow knows the first trials and that it runs: its driver was killed at the end."""
    monkeypatch.chdir(path.parent)
    Path("toy.yaml").write_text(TEXT)
    search = Search.open("toy.yaml")
    search.folder.mkdir(parents=True)
    path.rename("runs/mlflow.db")
    search.open_or_create(ASSETS)
    search.write_file()
    drive(Conductor(search.plan(), search.store))
    projection = projection_of(search)
    projection.sync_parent(parent_info(search, "RUNNING"))
    for record in search.records()[:2]:
        projection.sync(record)
    return search


def test_a_finished_search_that_is_started_again_brings_mlflow_up_to_date(finished: Search) -> None:
    result = finished.result()
    assert result.finished
    (finished.folder / PAGE_FILE).write_text("its page")
    assert bring_up_to_date(finished, result) is None
    client = MlflowClient(finished.spec.mlflow_uri_resolved)
    runs = client.search_runs([projection_of(finished).runs.experiment_id])
    assert len(runs) == 1 + len(result.records)
    assert {run.info.status for run in runs} == {"FINISHED"}
    (parent,) = [run for run in runs if run.data.tags["search.role"] == "parent"]
    assert {"leaderboard.json", PAGE_FILE} <= {
        file.path for file in client.list_artifacts(parent.info.run_id)
    }
    assert bring_up_to_date(finished, result) is None
    assert len(client.search_runs([parent.info.experiment_id])) == len(runs)


def test_what_it_cannot_bring_in_is_one_line(finished: Search, capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(finished.spec.mlflow_uri_resolved.removeprefix("sqlite:///"))
    changed(file, "DROP TABLE runs")
    left = bring_up_to_date(finished, finished.result())
    assert left is not None and "\n" not in left
    assert f"MLflow's database {file} is damaged" in left and "remove it" in left
    assert left.endswith("run `python -m search reconcile toy`")
    assert cli.main(["reconcile", "toy"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "Try again when it answers" not in error and "remove it" in error


def test_all_of_the_remedy_is_in_what_is_left(path: Path) -> None:
    error = str(database.damaged(path, "x" * 500))
    assert len(error) < 500 + len(str(path))
    assert error in Leftover((1,), False, error).message("reconcile")
