"""Trials that other programs have put into a study's queue (Optuna's `enqueue_trial`), to be begun by the driver."""

from optuna.storages import RDBStorage

from search.study.rows import rows_after
from search.study.waiting import Row, Waiting


class Queue(Waiting):
    """What waits in a study, looked up again as it grows.

    Its methods may raise what the database does.
    """

    def __init__(self, storage: RDBStorage, study_id: int, where: str):
        """where: the database, for messages."""
        super().__init__(where)
        self._storage, self._of_study = storage, study_id

    def id_of(self, number: int) -> int:
        """The id of what waits as `number`."""
        return self._waiting[number][0]

    def leaves(self, number: int) -> None:
        """`number` waits no more."""
        del self._waiting[number]

    def look(self) -> None:
        """See what came to the study since."""
        for row in rows_after(self._storage, self._of_study, self.seen.trial_id):
            self._take(self._storage.get_trial(row.trial_id))
            self._see(row)

    def added(self, row: Row) -> None:
        """The driver has added this trial, perhaps after others that came to the study meanwhile."""
        if row.number != self.next_number:
            for other in rows_after(self._storage, self._of_study, self.seen.trial_id):
                if other.trial_id < row.trial_id:
                    self._take(self._storage.get_trial(other.trial_id))
        self._see(row)
