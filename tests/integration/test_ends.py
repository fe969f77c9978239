"""However a search ends, it leaves no process and no temporary folder, says how it ended, and can be gone on with."""

import sqlite3
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.integration.processes import in_session
from tests.integration.running import VARIED, finish, start, toy, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

NUM_TRIALS = 16  # of which 9 are proposed, see VARIED
PATIENCE = 300.0  # seconds for each thing that is waited for, on a machine with other work


def search_file(folder: Path, total_steps: int, name: str = "toy") -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.yaml"
    text = toy(total_steps, 10, VARIED).replace("name: toy", f"name: {name}")
    file.write_text(f"{text}\nstorage: {{path: {folder / 'runs'}}}\n")
    return file


def rows(database: Path, query: str) -> list[tuple[str, int]]:
    """None while there is no such table."""
    with (
        suppress(sqlite3.OperationalError),
        closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db,
    ):
        return db.execute(query).fetchall()
    return []


def trials_of(storage: Path, name: str = "toy") -> Counter[str]:
    """How many trials the study has in each state."""
    return Counter(
        dict(rows(storage / name / "study.db", "select state, count(*) from trials group by state"))
    )


def runs_of(storage: Path) -> Counter[str]:
    """How many runs MLflow has in each state."""
    return Counter(dict(rows(storage / "mlflow.db", "select status, count(*) from runs group by status")))


def folders_of(process: subprocess.Popen[str]) -> list[Path]:
    """Its temporary folders."""
    return list(Path(tempfile.gettempdir()).glob(f"search-{process.pid}-*"))


def check_nothing_left(process: subprocess.Popen[str]) -> None:
    until(
        lambda: not in_session(process.pid),
        60,
        "no process is left",
        told=lambda: str(in_session(process.pid)),
    )
    assert folders_of(process) == []


def check_ended(storage: Path) -> None:
    """Every trial has ended, and MLflow shows it."""
    assert trials_of(storage).keys() <= {"COMPLETE", "PRUNED"}
    assert trials_of(storage).total() == NUM_TRIALS
    assert runs_of(storage) == {"FINISHED": NUM_TRIALS + 1}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 30 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_is_one_line_and_with_more_room_the_search_goes_on(disk: Path) -> None:
    file, storage, filling = search_file(disk, 4000), disk / "runs", disk / "filling"
    process = start("run", file)
    until(lambda: any(storage.glob("toy/trials/*/*.json")), PATIENCE, "a checkpoint is kept", pause=0.05)
    with suppress(OSError), filling.open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(4096))
    code, _, err = finish(process, timeout=2 * PATIENCE)
    assert code == 1
    error = err.splitlines()[-1]  # before it there may be a warning that search.log is incomplete
    assert error.startswith("error: ")
    assert "No space left on device" in error and "the same command goes on" in error
    assert len([line for line in err.splitlines() if line.startswith("error: ")]) == 1
    check_nothing_left(process)
    filling.unlink()
    again = start("run", file)
    code, _, err = finish(again, timeout=2 * PATIENCE)
    assert (code, err) == (0, "")
    check_nothing_left(again)
    check_ended(storage)


def test_a_reader_that_goes_does_not_end_the_search(tmp_path: Path) -> None:
    process = start("run", search_file(tmp_path, 600))
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(2 * PATIENCE) == 141
    assert process.stderr.read() == ""
    process.stderr.close()
    check_nothing_left(process)
    check_ended(tmp_path / "runs")
