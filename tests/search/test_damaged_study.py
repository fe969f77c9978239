"""A study that was cut, emptied or edited is told in one line, and never gone on with in silence."""

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from search import cli
from search.errors import InputError, OperationFailed
from search.policy.conductor import Conductor
from search.record import Report, State
from search.running.losses import tell_losses
from search.running.search import Search
from search.screen.view import ProgressView
from search.study.whole import DamagedStudy
from tests.search.test_search import ASSETS, TEXT

RUNNING = 6  # the number of the trial that is open


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a search of which six trials have ended and one is open, left by its driver."""
    folder = tmp_path_factory.mktemp("made")
    with contextlib.chdir(folder):
        Path("toy.yaml").write_text(TEXT.replace("max_trials: 3", "max_trials: 20"))
        search = Search.open("toy.yaml")
        search.folder.mkdir(parents=True)
        search.open_or_create(ASSETS)
        search.write_file()
        conductor = Conductor(search.plan(), search.store)
        rungs = conductor.plan.rungs
        for _ in range(RUNNING):
            trial = conductor.next()
            assert trial is not None
            for index, step in enumerate(rungs, start=1):
                reports = [Report(s, 50.0 + trial.number - s / 1e4, 0, {"loss": 0.1}) for s in rungs[:index]]
                outcome = "complete" if step == rungs[-1] else None
                if conductor.observe(trial.number, step, reports, outcome):
                    break
        assert conductor.next() is not None
        search.store.close()
    return folder


@pytest.fixture
def toy(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Search:
    """That search in the current folder."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return Search.open("toy.yaml")


def study_of(search: Search) -> Path:
    return search.folder / "study.db"


def changed(search: Search, *statements: str) -> None:
    with closing(sqlite3.connect(study_of(search))) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def gone_on_with(file: str) -> None:
    """What a driver does first."""
    again = Search.open(file)
    again.open_or_create(ASSETS)
    again.store.complete_sums()


TABLES = ("trials", "trial_params", "trial_user_attributes", "trial_intermediate_values", "trial_values")
STUDY_TABLES = ("studies", "study_directions", "study_user_attributes", "version_info", "alembic_version")
ATTRIBUTE = "UPDATE trial_user_attributes SET value_json = {} WHERE trial_id = 4 AND key = '{}'"
# Nothing of a trial is lost with these: Optuna makes them anew.
HARMLESS = ("version_info", "alembic_version")

DAMAGES = [
    *(f"DELETE FROM {table}" for table in (*TABLES, *STUDY_TABLES) if table not in HARMLESS),
    *(f"DROP TABLE {table}" for table in (*TABLES, *STUDY_TABLES) if table not in HARMLESS),
    *(f"DELETE FROM {table} WHERE trial_id = 4" for table in TABLES),
    "DELETE FROM trials WHERE trial_id >= 6",
    "UPDATE trials SET number = 2 WHERE trial_id = 4",
    "UPDATE trials SET number = NULL WHERE trial_id = 4",
    "UPDATE trials SET state = 'NONSENSE' WHERE trial_id = 4",
    "UPDATE trials SET state = 'FAIL' WHERE trial_id = 4",
    "UPDATE trial_values SET value = 0.5 WHERE trial_id = 4",
    "UPDATE trial_intermediate_values SET intermediate_value = 0.5 WHERE trial_id = 4",
    "UPDATE trial_params SET param_value = param_value * 1.01 WHERE trial_id = 4",
    "UPDATE trial_params SET distribution_json = substr(distribution_json, 1, 20) WHERE trial_id = 4",
    *(ATTRIBUTE.format("substr(value_json, 1, length(value_json) / 2)", key) for key in ("trial", "outcome")),
    *(
        ATTRIBUTE.format(f"'{text}'", key)
        for text in ("", "null", "[]", "{}", "7", '"x"', "[" * 5000)
        for key in ("trial", "outcome")
    ),
    ATTRIBUTE.format("replace(value_json, '\"seed\": 0', '\"seed\": 5')", "trial"),
    ATTRIBUTE.format("replace(value_json, '0.1', '0.2')", "outcome"),
    *(
        f"UPDATE study_user_attributes SET value_json = {text} WHERE key = '{key}'"
        for text in ("''", "'7'", "'{'", "substr(value_json, 1, length(value_json) / 2)")
        for key in ("study_id", "search", "identity", "versions", "objective", "data_sha256")
        if (text, key) != ("'7'", "search")
    ),
    "DELETE FROM study_user_attributes WHERE key = 'identity'",
    "INSERT INTO study_user_attributes VALUES (99, 1, 'spent', '{\"trial_seconds\": 1}')",
    "INSERT INTO study_user_attributes VALUES (99, 1, 'closed', '[1]')",
    "ALTER TABLE trials RENAME COLUMN number TO numbers",
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_one_line_for_every_verb(
    toy: Search, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(toy, "PRAGMA foreign_keys = off", damage)
    for verb in ("leaderboard", "status"):
        assert cli.main([verb, "toy"]) in (1, 2)
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "unexpected" not in error, error
        assert str(study_of(toy)) in error and "estore it" in error, error
        assert len(error) < 700
    with pytest.raises((OperationFailed, InputError)):
        gone_on_with("toy.yaml")


@pytest.mark.parametrize("statement", [f"DELETE FROM {table}" for table in HARMLESS])
def test_what_optuna_makes_anew_is_no_damage(toy: Search, statement: str) -> None:
    changed(toy, statement)
    assert len(Search.open("toy.yaml").records()) == RUNNING + 1


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def removed(path: Path) -> None:
    path.unlink()


def of_another_kind(path: Path) -> None:
    path.write_text("name: toy\n" * 1000)


def with_a_page_of_noise(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for start in range(4096, len(content), 8192):
        content[start : start + 4096] = b"\x5a" * 4096
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, emptied, removed, of_another_kind, with_a_page_of_noise])
def test_a_damaged_file_is_one_line_and_never_a_new_search(
    toy: Search, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    changed(toy, "PRAGMA wal_checkpoint(truncate)")
    damage(study_of(toy))
    for verb in ("leaderboard", "status", "extend"):
        assert cli.main([verb, "toy", *(["--trials", "1"] if verb == "extend" else [])]) in (1, 2)
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "unexpected" not in error, error
        assert str(study_of(toy)) in error and "estore it" in error
    with pytest.raises(DamagedStudy):
        Search.open("toy.yaml").open_or_create(ASSETS)


def test_an_older_copy_of_the_study_is_told_and_can_be_taken_as_it_is(toy: Search) -> None:
    changed(toy, "DELETE FROM trials WHERE number IN (4, 5)")
    with pytest.raises(DamagedStudy, match=r"has lost trials 4, 5 of 7: .*to go on without, remove (\S+)"):
        toy.records()
    (toy.folder / "trials.sums").unlink()
    again = Search.open("toy.yaml")
    assert [record.number for record in again.records()] == [0, 1, 2, 3, 6]


def shown(view: ProgressView) -> str:
    return "\n".join(view.events)


def test_an_open_trial_that_was_lost_is_told_and_leaves_no_files_for_another(
    toy: Search, caplog: pytest.LogCaptureFixture
) -> None:
    """As a power cut leaves it: what was written last was not on the disk yet."""
    changed(toy, *(f"DELETE FROM {table} WHERE trial_id = {RUNNING + 1}" for table in TABLES))
    for number, name in ((5, "samples.png"), (RUNNING, "000000100.json"), (RUNNING, "sampling.json")):
        toy.trial_storage.folder(number).write(name, b"{}")
    view = ProgressView("toy", "fd", 2000)
    tell_losses(toy, view)
    assert f"has lost trial {RUNNING}, which had not ended" in shown(view)
    assert f"files of 1 trials from {RUNNING} on" in shown(view)
    assert len(caplog.records) == 2
    assert toy.trial_storage.folder(RUNNING).names() == []
    assert toy.trial_storage.folder(5).names() == ["samples.png"]
    conductor = Conductor(toy.plan(), toy.store)
    trial = conductor.next()
    assert trial is not None and trial.number == RUNNING
    again = ProgressView("toy", "fd", 2000)
    tell_losses(Search.open("toy.yaml"), again)  # told once
    assert "lost" not in shown(again)


def test_a_trial_whose_end_was_lost_goes_on_and_that_is_told(toy: Search) -> None:
    changed(
        toy,
        "UPDATE trials SET state = 'RUNNING' WHERE number = 5",
        "DELETE FROM trial_values WHERE trial_id = 6",
    )
    view = ProgressView("toy", "fd", 2000)
    tell_losses(toy, view)
    assert "has lost the end of trial 5: what had ended goes on" in shown(view)
    assert toy.records()[5].state is State.RUNNING


def test_a_driver_that_is_killed_before_it_has_added_a_checksum_raises_no_alarm(toy: Search) -> None:
    sums = toy.folder / "trials.sums"
    lines = sums.read_text().splitlines()
    assert len(lines) == 1 + RUNNING + 1 + RUNNING
    for left in range(len(lines)):
        sums.write_text("".join(f"{line}\n" for line in lines[:left]))
        assert len(Search.open("toy.yaml").records()) == RUNNING + 1
    toy.open_or_create(ASSETS)
    assert toy.store.complete_sums() == []
    assert sorted(sums.read_text().splitlines()) == sorted(lines)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\n", b"began 3\nended x y\n", b"began 0 12\n", b"{}"])
def test_a_file_of_checksums_that_cannot_be_read_is_told_and_made_again(toy: Search, content: bytes) -> None:
    sums = toy.folder / "trials.sums"
    whole = sums.read_bytes()
    sums.write_bytes(content)
    toy.open_or_create(ASSETS)
    notes = toy.store.complete_sums()
    assert [f"{sums} has " in note for note in notes] == ([True] if content else [])
    assert sorted(sums.read_bytes().splitlines()) == sorted(whole.splitlines())


def test_a_study_without_checksums_is_taken_as_it_is_and_gets_some(toy: Search) -> None:
    (toy.folder / "trials.sums").unlink()
    assert len(toy.records()) == RUNNING + 1
    assert toy.store.complete_sums() == []
    changed(toy, "DELETE FROM trials WHERE number = 3")
    with pytest.raises(DamagedStudy, match="has lost trial 3 of 7"):
        Search.open("toy.yaml").records()


def test_another_study_in_the_place_of_the_first_is_told(toy: Search, tmp_path: Path) -> None:
    kept = (toy.folder / "trials.sums").read_bytes()
    shutil.rmtree(toy.folder)
    toy.folder.mkdir()
    anew = Search.open("toy.yaml")
    anew.open_or_create(ASSETS)
    anew.store.close()
    (toy.folder / "trials.sums").write_bytes(kept)
    with pytest.raises(
        DamagedStudy, match=r"another study than the one that trials 0, 1.*To begin anew, remove"
    ):
        Search.open("toy.yaml").records()


def test_doctor_reads_the_study_as_a_search_does(toy: Search, capsys: pytest.CaptureFixture[str]) -> None:
    changed(toy, "DELETE FROM trial_params WHERE trial_id = 4")
    assert cli.main(["doctor", "toy.yaml", "--json"]) == 1
    checks = json.loads(capsys.readouterr().out)["checks"]
    (told,) = [check for check in checks if check["name"] == "study" and check["level"] == "fail"]
    assert "trial 3 is not as written" in told["message"]
