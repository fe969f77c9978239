"""What a search keeps, damaged: its study, its file, its lock."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from tests.fuzz.answers import check, hold, not_in_a_test, shares
from tests.fuzz.damage import ODD_VALUES, damaged_bytes, damaged_data, json_bytes
from tests.version_0_2_0 import KEPT

OLD = KEPT / "storage" / "old"
READING = [
    *(["status"], ["status", "old", "--json"], ["leaderboard", "old", "--all"]),
    ["export", "old", "--output", "x.json"],
]
ALL = [*READING, ["extend", "old", "--trials", "2"], ["resume", "old"], ["stop", "old"], ["sampling", "old"]]

Damage = Callable[[Path], None]


def rows_of(database: Path) -> list[tuple[str, int, str]]:
    """(table, row, JSON) of every text of ours in the study."""
    with closing(sqlite3.connect(database)) as connection:
        return [
            (table, row, text)
            for table in ("study_user_attributes", "trial_user_attributes", "trial_params")
            for row, text in connection.execute(
                f"select rowid, {'distribution_json' if table == 'trial_params' else 'value_json'} from {table}"
            )
        ]


def tables_of(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        return [name for [name] in connection.execute("select name from sqlite_master where type = 'table'")]


def edit(statement: str, *values: Any) -> Damage:
    def damage(folder: Path) -> None:
        with closing(sqlite3.connect(folder / "study.db")) as connection:
            connection.execute(statement, values)
            connection.commit()

    return damage


def overwrite(name: str, content: bytes) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return damage


def replace_by_a_folder(name: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).mkdir()

    return damage


@st.composite
def damages(draw: st.DrawFn) -> Damage:
    """One thing that was done to the folder of a search."""
    database, file = OLD / "study.db", OLD / "search.yaml"
    match draw(
        st.sampled_from(["json", "json", "bytes", "table", "rows", "state", "file", "lock", "folder"])
    ):
        case "json":
            table, row, text = draw(st.sampled_from(rows_of(database)))
            column = "distribution_json" if table == "trial_params" else "value_json"
            whole = json.loads(text)
            changed = draw(
                damaged_data(whole).map(json_bytes)
                | damaged_bytes(text.encode())
                | ODD_VALUES.map(json_bytes)
            )
            return edit(
                f"update {table} set {column} = ? where rowid = ?", changed.decode("utf-8", "replace"), row
            )
        case "bytes":
            return overwrite("study.db", draw(damaged_bytes(database.read_bytes())))
        case "table":
            table = draw(st.sampled_from(tables_of(database)))
            return edit(draw(st.sampled_from([f"drop table {table}", f"delete from {table}"])))
        case "rows":
            table = draw(st.sampled_from(tables_of(database)))
            return edit(f"delete from {table} where rowid = ?", draw(st.integers(1, 8)))
        case "state":
            state = draw(st.sampled_from(["RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING"]))
            return edit("update trials set state = ? where number = ?", state, draw(st.integers(0, 6)))
        case "file":
            return overwrite("search.yaml", draw(damaged_bytes(file.read_bytes())))
        case "lock":
            return overwrite(".lock", draw(st.binary(max_size=20)))
    return replace_by_a_folder(draw(st.sampled_from(["study.db", "search.yaml", ".lock"])))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir(mode=0o700)
    monkeypatch.setenv("SCHEDULE_SEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("search.running.runner.run_search", not_in_a_test)
    monkeypatch.setattr("trainable.metric.assets.prepare", not_in_a_test)
    return tmp_path


@shares(quick=25, long=250)
def test_a_damaged_search_is_told_in_words(share: settings, here: Path) -> None:
    folder = Path("runs", "old")

    def read(given: tuple[Damage, list[str]]) -> None:
        damage, command = given
        shutil.rmtree("runs", ignore_errors=True)
        shutil.copytree(OLD, folder)
        damage(folder)
        check(command)

    hold(read, st.tuples(damages(), st.sampled_from(ALL)), share)
