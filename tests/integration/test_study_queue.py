"""What others enqueue, and what is kept beside the study, with a study in a real PostgreSQL."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from search.policy.conductor import Conductor
from search.policy.next_trial import Refused
from search.record import TrialRecord
from search.study.store import StudyStore
from tests.integration.postgres import Postgres
from tests.search.test_conductor import PLAN, drive

pytestmark = pytest.mark.integration


@pytest.fixture
def server() -> Iterator[Postgres]:
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.remove()


def test_what_is_enqueued_in_the_middle_is_trained_and_nothing_reads_as_changed(
    server: Postgres, tmp_path: Path
) -> None:
    sums = tmp_path / "trials.sums"
    store = StudyStore.create(server.url, "toy", {"search": {}}, sums=sums)
    storage = optuna.storages.RDBStorage(server.url)
    mine = optuna.load_study(study_name="toy", storage=storage)
    conductor = Conductor(replace(PLAN, race=None, max_trials=6), store)
    refused: list[Refused] = []
    conductor.on_refused = refused.append

    def put_in(record: TrialRecord) -> None:
        if record.number == 2 and not record.reports:
            mine.enqueue_trial({"lr": 1})
            mine.enqueue_trial({"noise": "polynomial"})

    conductor.on_change = put_in
    drive(conductor)
    numbers = [trial.number for trial in mine.get_trials()]
    assert numbers == list(range(7))
    (told,) = refused
    assert sorted(conductor.records) == [number for number in numbers if number != told.number]
    causes = [record.decisions[0].cause for record in conductor.records.values()]
    assert causes.count("enqueued") == 1
    again = StudyStore.open(server.url, "toy", sums)
    assert again is not None and again.complete_sums() == []
    assert len(again.records()) == 6
    for opened in (store, again):
        opened.close()
    storage.remove_session()
    storage.engine.dispose()
