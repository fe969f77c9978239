"""What a sampler remembers of the ended trials of a study, so that it looks at each of them once."""

from abc import ABC, abstractmethod
from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Self
from weakref import WeakKeyDictionary

from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from search.algorithm import DROPPED


class Seen(ABC):
    """Ended trials in an order of a subclass's. A sampler lives for one proposal; this stays with the study.

    Without it each proposal would look at all trials again, which at thousands of them took longer than all else.
    """

    def __init__(self, study: Study):
        self._num_trials = 0
        self._open: list[int] = []
        self._dropped: list[int] = []

    @classmethod
    def of(cls, study: Study) -> Self:
        """That of the study, always the same one."""
        kept = _SEEN.setdefault(study._storage, {})
        key = cls, study._study_id
        if key not in kept:
            kept[key] = cls(study)
        found = kept[key]
        assert isinstance(found, cls)
        return found

    @abstractmethod
    def take(self, trial: FrozenTrial) -> None:
        """Take in a trial that has ended, did not fail and has parameters of the space."""

    def update(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Take in all that has ended, by number; returns the trials that have not."""
        candidates = [*self._open, *range(self._num_trials, len(trials))]
        self._num_trials = len(trials)
        self._open = [number for number in candidates if not trials[number].state.is_finished()]
        for number in sorted(set(candidates).difference(self._open)):
            trial = trials[number]
            if DROPPED in trial.user_attrs:
                insort(self._dropped, number)
            elif trial.state != TrialState.FAIL and trial.params:
                self.take(trial)
        return [trials[number] for number in self._open]

    def rank(self, trial: FrozenTrial) -> int:
        """How many trials came before it; its number would count dropped proposals, of which a new driver has none."""
        return trial.number - bisect_left(self._dropped, trial.number)


_SEEN: WeakKeyDictionary[BaseStorage, dict[tuple[type[Seen], int], Seen]] = WeakKeyDictionary()
