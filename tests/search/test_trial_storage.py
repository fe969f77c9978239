"""What trials keep is read back; of two studies that want the same storage at the same time, exactly one gets it."""

import secrets
import threading
from pathlib import Path

import pytest

from search.errors import InputError, OperationFailed
from search.study.trial_storage import DamagedFile, TrialStorage


def test_a_study_keeps_its_storage_and_another_one_is_refused(tmp_path: Path) -> None:
    location = str(tmp_path / "toy")
    for _ in range(2):
        TrialStorage(location).take_ownership("aa")
    with pytest.raises(InputError, match=r"another study with this search's name \(study-aa\)"):
        TrialStorage(location).take_ownership("bb")
    TrialStorage(location).take_ownership("aa")


@pytest.mark.parametrize("num_studies", [2, 5])
def test_of_many_at_once_one_wins(tmp_path: Path, num_studies: int) -> None:
    for attempt in range(4):
        location, start = str(tmp_path / str(attempt)), threading.Barrier(num_studies)
        won: list[str] = []

        def try_it(location: str, start: threading.Barrier, won: list[str]) -> None:
            study = secrets.token_hex(8)
            start.wait()
            try:
                TrialStorage(location).take_ownership(study)
            except InputError:
                return
            won.append(study)

        threads = [threading.Thread(target=try_it, args=(location, start, won)) for _ in range(num_studies)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        TrialStorage(location).take_ownership(won[0])


def test_a_mark_that_is_taken_away_soon_does_not_drive_the_owner_out(tmp_path: Path) -> None:
    TrialStorage(tmp_path).take_ownership("aa")
    passing = tmp_path / "study-bb"
    passing.touch()
    threading.Timer(0.3, passing.unlink).start()
    TrialStorage(tmp_path).take_ownership("aa")
    assert [path.name for path in tmp_path.iterdir()] == ["study-aa"]


def test_a_trials_small_files_are_written_and_read(tmp_path: Path) -> None:
    trials = TrialStorage(tmp_path)
    assert trials.read_json(7, "found.json") is None
    where = trials.write_json(7, "found.json", {"a": 1.5})
    assert where == str(tmp_path / "trials" / "00007" / "found.json") == trials.location_of(7, "found.json")
    assert trials.read_json(7, "found.json") == {"a": 1.5}
    assert trials.names() == ["trials/00007/found.json"]
    assert TrialStorage("s3://bucket/toy?region=x").location_of(7) == "s3://bucket/toy/trials/00007?region=x"


def test_a_damaged_file_and_a_storage_that_fails_are_told_apart(tmp_path: Path) -> None:
    trials = TrialStorage(tmp_path)
    Path(trials.write_json(0, "found.json", {})).write_text("{")
    with pytest.raises(DamagedFile, match=r"00000/found\.json cannot be read: "):
        trials.read_json(0, "found.json")
    (tmp_path / "trials" / "00001").write_text("no folder")
    for use in (lambda: trials.read_json(1, "x"), lambda: trials.write_json(1, "x", {})):
        with pytest.raises(OperationFailed, match="00001 cannot be ") as told:
            use()
        assert not isinstance(told.value, DamagedFile)
