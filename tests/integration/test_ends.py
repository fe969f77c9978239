"""However a search ends, it leaves no process and no temporary folder, says how it ended, and can be gone on with."""

import os
import signal
import sqlite3
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from search.record import State, TrialRecord
from search.running.search import Search
from tests.integration.processes import in_session, workers_of
from tests.integration.running import PLAIN, VARIED, finish, start, toy, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

# Three trials, two of them proposals, two more of the preset, and four confirmations: the shortest that has all phases.
FEW = f"{VARIED}stopping: {{name: none, rungs: [0.5]}}\n"
MAX_TRIALS, NUM_TRIALS = 3, 9
PATIENCE = 300.0  # seconds for each thing that is waited for, on a machine with other work


def search_file(
    folder: Path, total_steps: int, name: str = "toy", max_trials: int = MAX_TRIALS, rest: str = FEW
) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.yaml"
    text = toy(total_steps, max_trials, rest).replace("name: toy", f"name: {name}")
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
        PATIENCE,  # Ray's agents take a minute to see that they are alone
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
    file, storage, filling = search_file(disk, 2000), disk / "runs", disk / "filling"
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


class Driver:
    """Runs the search of a file, until it is killed."""

    def __init__(self, file: Path, storage: Path):
        self.storage, self.study = storage, storage / "toy" / "study.db"
        self._kept = self._checkpoints()
        self.process = start("run", file)

    def _checkpoints(self) -> set[Path]:
        return set(self.storage.glob("toy/trials/*/*.json"))

    @property
    def has_kept(self) -> bool:
        """Whether there is a checkpoint that was not there before."""
        return not self._checkpoints() <= self._kept

    @property
    def has_trained_all(self) -> bool:
        trials = trials_of(self.storage)
        return trials.total() == NUM_TRIALS and not trials["RUNNING"]

    def _is_over(self) -> bool:
        return self.process.poll() is not None

    def lose_gcs(self) -> None:
        """Kill the GCS of its Ray as soon as that is there."""

        def found() -> list[int]:
            return [each.pid for each in in_session(self.process.pid) if each.is_gcs]

        until(lambda: bool(found()) or self._is_over(), PATIENCE, "Ray starts", pause=0.01)
        for pid in found():
            os.kill(pid, signal.SIGKILL)

    def kill_at(self, stage: str) -> None:
        """Kill it as soon as it has come there."""
        until(lambda: STAGES[stage](self) or self._is_over(), PATIENCE, stage, pause=0.01, told=self._told)
        if self._is_over():  # when its last trial has ended it has little left to do
            assert (stage, self.process.returncode) == (LAST_STAGE, 0), (stage, self.process.communicate())
        self.process.kill()
        self.process.communicate()
        until(lambda: not in_session(self.process.pid), PATIENCE, "the others go with their driver")

    def _told(self) -> str:
        log = self.storage / "toy" / "search.log"
        return log.read_text()[-3000:] if log.exists() else "no log"


STEPS = 300
CONFIRMS = (
    """select trial_id, 1 from trial_user_attributes where key = 'trial' and value_json like '%"confirm"%'"""
)
LAST_STAGE = "its last trial has ended"
GCS_LOST = "a checkpoint is kept"  # the stage before which Ray loses a part while it starts
# What a search comes through, and how that is seen.
STAGES: dict[str, Callable[[Driver], bool]] = {
    "its folder is made": lambda driver: (driver.storage / "toy" / ".lock").exists(),
    "its study is made": lambda driver: rows(driver.study, "select study_name, 1 from studies") != [],
    "Ray starts": lambda driver: folders_of(driver.process) != [],
    "workers start": lambda driver: workers_of(driver.process.pid) != [],
    GCS_LOST: lambda driver: driver.has_kept,
    # By a process that yields to the trials: on a busy machine it may come after most of them.
    "MLflow's database is made": lambda driver: (driver.storage / "mlflow.db").exists(),
    "a trial has ended": lambda driver: trials_of(driver.storage)["COMPLETE"] > 0,
    "its confirmation begins": lambda driver: rows(driver.study, CONFIRMS) != [],
    LAST_STAGE: lambda driver: driver.has_trained_all,
}


def records_in(file: Path) -> dict[int, TrialRecord]:
    """What the study knows, by trial number."""
    search = Search.open(str(file))
    return {record.number: record for record in search.records()} if search.is_started else {}


def first_rungs(storage: Path) -> dict[Path, int]:
    """When the checkpoint of each trial's first rung was written."""
    return {path: path.stat().st_mtime_ns for path in storage.glob(f"toy/trials/*/{STEPS // 2:09d}.json")}


def test_a_search_whose_driver_is_killed_at_every_stage_ends_as_any_and_has_lost_nothing(
    tmp_path: Path,
) -> None:
    file, storage = search_file(tmp_path, STEPS), tmp_path / "runs"
    drivers, known, kept = [], [], []
    for stage in STAGES:
        driver = Driver(file, storage)
        if stage == GCS_LOST:
            driver.lose_gcs()
        driver.kill_at(stage)
        drivers.append(driver.process)
        known.append(records_in(file))
        kept.append(first_rungs(storage))
    drivers.append(start("run", file))
    code, _, err = finish(drivers[-1], timeout=2 * PATIENCE)
    assert (code, err) == (0, "")
    for process in drivers:
        check_nothing_left(process)
    check_ended(storage)
    log = (storage / "toy" / "search.log").read_text()
    assert "its process gcs_server has ended, killed or for want of memory); it is started once more" in log

    after, written = records_in(file), first_rungs(storage)
    for number, record in ((number, record) for before in known for number, record in before.items()):
        values = {report.step: report.objective for report in record.reports}
        assert values.items() <= {report.step: report.objective for report in after[number].reports}.items()
        # Samples are measured once a trial has ended, so a kill may come before that.
        assert record.measured in (None, after[number].measured)
        assert (
            record.state is State.RUNNING or replace(record, measured=after[number].measured) == after[number]
        )
    for before in kept:  # what had been measured was not trained again
        assert {path: before[path] for path in before.keys() & written.keys()}.items() <= written.items()


def test_six_searches_that_start_at_once_all_end(tmp_path: Path) -> None:
    storage = tmp_path / "runs"
    searches = {
        name: start("run", search_file(tmp_path, 100, name, max_trials=2, rest=PLAIN)) for name in "abcdef"
    }
    num_trials = 0
    for name, process in searches.items():
        code, _, err = finish(process, timeout=4 * PATIENCE)
        assert (name, code, err) == (name, 0, "")
        check_nothing_left(process)
        trials = trials_of(storage, name)
        assert trials.keys() <= {"COMPLETE", "PRUNED"} and trials.total() >= 4
        num_trials += trials.total()
    assert runs_of(storage) == {"FINISHED": num_trials + len(searches)}
