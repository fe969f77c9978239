"""What waits in a study's queue (Optuna's `enqueue_trial`), as it was read."""

from collections.abc import Container, Iterable, Sequence
from typing import NamedTuple

from optuna.trial import FrozenTrial, TrialState

from search.errors import OperationFailed
from search.policy.trials import Enqueued

REFUSED = "refused"  # user attribute: why a trial of the queue is never trained


class Seen(NamedTuple):
    """The last trial of a study that is known of; (-1, -1) where there is none."""

    trial_id: int
    number: int


class Row(NamedTuple):
    """A trial of a study as the database lists it."""

    trial_id: int
    number: int
    state: TrialState


class Waiting:
    """What other programs have put into a study and nobody has begun, and which of its trials was seen last.

    OperationFailed where another program writes more than a queue.
    """

    def __init__(self, where: str):
        """where: the database, for messages."""
        self._where = where
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

    def restart(self, trials: Iterable[FrozenTrial], ours: Container[int]) -> None:
        """Begin with all trials of the study. ours: numbers of those that the driver has begun."""
        self._waiting, self.seen = {}, Seen(-1, -1)
        for trial in trials:
            self._see(Row(trial._trial_id, trial.number, trial.state))
            if trial.number not in ours:
                self._take(trial)

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
