"""Models of the best and of replicates stay, all others go when their trial has ended."""

from pathlib import Path

import pytest

from search.evidence.race import RaceRules
from search.record import Purpose, State, TrialRecord
from search.study.retention import Janitor, Retention
from search.study.trial_storage import TrialStorage
from tests.records import record, replicates
from trainable.storage.checkpoint import save_checkpoint
from trainable.storage.folder import Folder, StorageError


def kept(retention: Retention, *records: TrialRecord) -> set[int]:
    keep: dict[int, int] = {}
    for each in records:
        keep |= retention.ended(each)
    return {number for number, count in keep.items() if count}


def test_the_best_of_each_kind_and_all_replicates_stay() -> None:
    proposals = [record(number, objective) for number, objective in enumerate((5.0, 3.0, 4.0, 1.0))]
    baselines = [record(10 + i, 9.0 - i, purpose=Purpose.BASELINE) for i in range(3)]
    confirmation = replicates(0, [99.0] * 4, first=20)
    others = [record(30, 0.5, state=State.STOPPED), record(31, 1e9, state=State.DIVERGED)]
    records = [*proposals, *baselines, *confirmation, *others]
    assert kept(Retention(RaceRules(top=2, baselines=1)), *records) == {1, 3, 12, 20, 21, 22, 23}
    assert kept(Retention(None), *records) == {3, 12, 20, 21, 22, 23}
    assert kept(Retention(RaceRules(top=0, baselines=2)), *records) == {3, 11, 12, 20, 21, 22, 23}


def test_checkpoints_go_and_the_rest_stays(tmp_path: Path) -> None:
    for number in range(5):
        folder = TrialStorage(tmp_path).folder(number)
        for step in (5, 10):
            save_checkpoint(folder, step, b"tensors", {})
        folder.write("samples.png", b"picture")

    def steps(number: int) -> list[str]:
        names = TrialStorage(tmp_path).folder(number).names()
        assert "samples.png" in names
        return [name for name in names if name.endswith(".json")]

    janitor = Janitor(Retention(RaceRules(top=1, baselines=1)), TrialStorage(tmp_path))
    janitor.ended(record(0, 2.0))
    janitor.ended(record(1, 1.0))
    janitor.ended(record(2, 0.1, state=State.STOPPED))
    janitor.close(60)
    two = ["000000005.json", "000000010.json"]
    assert [steps(number) for number in range(5)] == [[], two[1:], [], two, two]
    # The next driver removes what this one left; a trial that runs keeps all.
    again = Janitor(Retention(RaceRules(top=1, baselines=1)), TrialStorage(tmp_path))
    again.restored([record(1, 1.0), record(3, 3.0), record(4, 9.0, state=State.RUNNING), record(7, 9.0)])
    again.close(60)
    assert [steps(number) for number in (1, 3, 4)] == [two[1:], [], two]


class Silent(TrialStorage):
    """Does not answer."""

    def folder(self, number: int) -> Folder:
        raise StorageError("the bucket does not answer")

    def names(self) -> list[str]:
        raise StorageError("the bucket does not answer")


def test_a_storage_that_does_not_answer_is_no_trouble_for_the_search(
    caplog: pytest.LogCaptureFixture,
) -> None:
    janitor = Janitor(Retention(None), Silent("s3://bucket/toy"))
    janitor.ended(record(0, 1.0, state=State.STOPPED))
    janitor.restored([record(number, 1.0) for number in range(5)])
    janitor.close(60)
    assert [line.message for line in caplog.records] == [
        "the checkpoints of trial 0 stay: the bucket does not answer",
        "the checkpoints of earlier trials stay: the bucket does not answer",
    ]
