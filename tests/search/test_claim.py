"""Of two studies that want the same storage at the same time, exactly one gets it."""

import secrets
import threading
from pathlib import Path

import pytest

from search.errors import InputError
from search.study.trial_storage import take_ownership


def test_a_study_keeps_its_storage_and_another_one_is_refused(tmp_path: Path) -> None:
    place = str(tmp_path / "toy")
    for _ in range(2):
        take_ownership(place, "aa")
    with pytest.raises(InputError, match=r"another study with this search's name \(study-aa\)"):
        take_ownership(place, "bb")
    take_ownership(place, "aa")


@pytest.mark.parametrize("num_studies", [2, 5])
def test_of_many_at_once_one_wins(tmp_path: Path, num_studies: int) -> None:
    for attempt in range(4):
        place, start = str(tmp_path / str(attempt)), threading.Barrier(num_studies)
        won: list[str] = []

        def try_it(place: str, start: threading.Barrier, won: list[str]) -> None:
            study = secrets.token_hex(8)
            start.wait()
            try:
                take_ownership(place, study)
            except InputError:
                return
            won.append(study)

        threads = [threading.Thread(target=try_it, args=(place, start, won)) for _ in range(num_studies)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        take_ownership(place, won[0])


def test_a_mark_that_is_taken_away_soon_does_not_drive_the_owner_out(tmp_path: Path) -> None:
    take_ownership(str(tmp_path), "aa")
    passing = tmp_path / "study-bb"
    passing.touch()
    threading.Timer(0.3, passing.unlink).start()
    take_ownership(str(tmp_path), "aa")
    assert [path.name for path in tmp_path.iterdir()] == ["study-aa"]
