"""Trials that other programs have put into a study's queue (Optuna's `enqueue_trial`), to be begun by the driver."""

from collections.abc import Container, Iterable, Sequence

from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from search.errors import OperationFailed
from search.policy.trials import Enqueued
from search.study.rows import Row, Seen, rows_after

REFUSED = "refused"  # user attribute: why a trial of the queue is never trained


class Queue:
    """What waits in a study, and which of its trials was seen last.

    Its methods may raise what the database does. OperationFailed where another program writes more than a queue.
    """

    def __init__(self, storage: RDBStorage, study_id: int, where: str):
        """where: the database, for messages."""
        self._storage, self._study_id, self._where = storage, study_id, where
        self._waiting: dict[int, tuple[int, Enqueued]] = {}  # number -> its id, what waits
        self.seen = Seen(-1, -1)

    @property
    def waiting(self) -> Sequence[Enqueued]:
        """As far as it was seen, in its order."""
        return [enqueued for _, (_, enqueued) in sorted(self._waiting.items())]

    @property
    def next_number(self) -> int:
        """The number that the next trial of the study gets."""
        return self.seen.number + 1

    def id_of(self, number: int) -> int:
        """The id of what waits as `number`."""
        return self._waiting[number][0]

    def leaves(self, number: int) -> None:
        """`number` waits no more."""
        del self._waiting[number]

    def restart(self, trials: Iterable[FrozenTrial], ours: Container[int]) -> None:
        """Begin with all trials of the study. ours: numbers of those that the driver has begun."""
        self._waiting, self.seen = {}, Seen(-1, -1)
        for trial in trials:
            self._see(Row(trial._trial_id, trial.number, trial.state))
            if trial.number not in ours:
                self._take(trial)

    def look(self) -> None:
        """See what came to the study since."""
        for row in rows_after(self._storage, self._study_id, self.seen.trial_id):
            self._take(self._storage.get_trial(row.trial_id))
            self._see(row)

    def added(self, row: Row) -> None:
        """The driver has added this trial, perhaps after others that came to the study meanwhile."""
        if row.number != self.next_number:
            for other in rows_after(self._storage, self._study_id, self.seen.trial_id):
                if other.trial_id < row.trial_id:
                    self._take(self._storage.get_trial(other.trial_id))
        self._see(row)

    def _see(self, row: Row) -> None:
        self.seen = Seen(max(row.trial_id, self.seen.trial_id), max(row.number, self.seen.number))

    def _take(self, trial: FrozenTrial) -> None:
        """Remember what waits. OperationFailed for what neither waits nor was refused."""
        if trial.state == TrialState.WAITING:
            params = {**trial.params, **trial.system_attrs.get("fixed_params", {})}
            self._waiting[trial.number] = (trial._trial_id, Enqueued(trial.number, params))
        elif REFUSED not in trial.user_attrs:
            raise OperationFailed(
                f"{self._where}: trial {trial.number} ({trial.state.name}) is another program's, or what this one kept "
                "of it is lost: only Optuna's `enqueue_trial` may add trials. End that program, and restore the "
                "database from a copy"
            )
