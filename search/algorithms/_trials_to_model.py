"""Which trials of a study a model is made of."""

import random
from bisect import insort
from collections.abc import Sequence

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from search.algorithms._seen import Seen

# The model takes time for every trial that it sees, cubic in their number. It sees the best, where it matters, and a
# sample of all.
_NUM_BEST, _NUM_SAMPLED = 50, 150


class _Shown:
    """The best of some trials, and a sample of all of them."""

    def __init__(self) -> None:
        self._best: list[tuple[float, int]] = []  # (value, number) of finished ones
        self._sampled: list[tuple[float, int]] = []  # (its place in an order at random, number)

    def take(self, trial: FrozenTrial, rank: int) -> None:
        if trial.state is TrialState.COMPLETE and trial.value is not None:
            insort(self._best, (trial.value, trial.number))
            del self._best[_NUM_BEST:]
        insort(self._sampled, (random.Random(rank).random(), trial.number))
        del self._sampled[_NUM_SAMPLED:]

    def numbers(self) -> list[int]:
        return list(dict.fromkeys(number for _, number in (*self._best, *self._sampled)))


class TrialsToModel(Seen):
    """Of the ended trials of a study those that were measured, and which of them a model sees."""

    def __init__(self, study: Study) -> None:
        super().__init__(study)
        self._all = _Shown()
        self._numbers: list[int] = []

    def take(self, trial: FrozenTrial) -> None:
        if trial.intermediate_values:
            insort(self._numbers, trial.number)
            self._all.take(trial, self.rank(trial))

    def shown(self) -> list[int]:
        """Numbers of the best trials, then of a sample of the others, which are all as long as there are few."""
        return self._all.numbers()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._numbers)

    def last_of_first(self, count: int) -> int:
        """Number of the last one of the first so many."""
        return self._numbers[count - 1]

    def shown_of_first(self, count: int, trials: Sequence[FrozenTrial]) -> list[int]:
        """`shown`, were there only the first so many. trials: all, by number."""
        first = _Shown()
        for number in self._numbers[:count]:
            first.take(trials[number], self.rank(trials[number]))
        return first.numbers()
