"""Proposals from a large study, at a cost that does not grow with it and is a fraction of a small one's.

Nothing is worked out again that still holds. Candidates stay for a while (`_pool.py`), distances are known
(`_places.py`), and how far values spread is judged by the first so many trials that have ended, until there are more by
a share. All of it follows from the study: a new driver proposes the same.

Axes: S trials that were measured, T all of them, C candidates.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from optuna.trial import FixedTrial, FrozenTrial

from search.algorithms._places import Places
from search.algorithms._pool import Key, Pool
from search.algorithms._surrogate import (
    NO_NEWS,
    Floats,
    Surrogate,
    best_of,
    expected,
    expected_improvement,
)
from search.algorithms._trials_to_model import TrialsToModel
from spaces import NoiseSchedule, SearchSpace
from spaces.space.neighbour import Neighbour

FIRST, GROWTH = 64, 1.25  # trials that have ended, when the spread of their values is judged; and again
_NEAR = np.exp(-NO_NEWS)


class LargeStudy:
    """What is kept of one study. embed: where a schedule stands. pool: its candidates."""

    def __init__(
        self,
        space: SearchSpace,
        total_steps: int,
        embed: Callable[[NoiseSchedule], Floats],
        pool: Pool,
    ):
        self._space, self._total_steps, self._embed = space, total_steps, embed
        self._pool, self._places = pool, Places()
        self._judged: tuple[tuple[int, int], float, float] | None = None

    def proposed(
        self,
        seen: TrialsToModel,
        trials: Sequence[FrozenTrial],
        rank: int,
        measured: Sequence[FrozenTrial],
        begun: Sequence[FrozenTrial],
    ) -> Mapping[str, Any]:
        """Parameters for the trial that `rank` others precede.

        trials: all, by number. measured: of those that the model sees; begun: those without a value so far.
        """
        value_S, sd_S = expected([trial.intermediate_values for trial in measured])
        parents = {seen.rank(measured[index]): measured[index].params for index in best_of(value_S)}
        candidates = self._pool.at(rank, parents)
        of_trials = [seen.rank(trial) for trial in (*measured, *begun)]
        self._put(dict(zip(of_trials, (*measured, *begun), strict=True)), candidates)

        spread, error = self._spread_and_error(seen, trials)
        correlation_TT = self._places.correlations(of_trials, of_trials)
        embedding_TD, count = self._places.embeddings(of_trials), len(measured)
        surrogate = Surrogate.given(
            spread, error, embedding_TD[:count], value_S, sd_S, correlation_TT[:count, :count]
        )
        if begun:
            surrogate = surrogate.believing(embedding_TD[count:], correlation_TT)
        best = float(surrogate.mean_at(correlation_TT).min())
        keys = list(candidates)
        correlation_CT = self._places.correlations(keys, of_trials)
        improvement_C = expected_improvement(*surrogate.at(correlation_CT), best)
        improvement_C[correlation_CT.max(axis=1) >= _NEAR] = -1.0
        return self.taken([keys[index] for index in np.argsort(-improvement_C, kind="stable")], candidates)

    def _put(self, trials: Mapping[int, FrozenTrial], candidates: Mapping[Key, Neighbour]) -> None:
        """Have all of these in their places, and no others."""
        self._places.forget_but({*trials, *candidates})
        for rank, trial in trials.items():
            if rank not in self._places:
                self._places.put(rank, self._place_of(rank, trial))
        for key, candidate in candidates.items():
            if key not in self._places:
                self._places.put(key, self._embed(candidate.schedule))

    def _place_of(self, rank: int, trial: FrozenTrial) -> Floats:
        if rank in self._places:
            return self._places.embeddings([rank])[0]
        return self._embed(self._space.suggest(FixedTrial(trial.params)))

    def _spread_and_error(self, seen: TrialsToModel, trials: Sequence[FrozenTrial]) -> tuple[float, float]:
        """Of the values, as the most likely model of the first so many trials has them."""
        count = min(FIRST, len(seen))
        while (more := int(count * GROWTH)) <= len(seen):
            count = more
        which = count, seen.last_of_first(count)
        if self._judged is None or self._judged[0] != which:
            first = [trials[number] for number in seen.shown_of_first(count, trials)]
            value_S, sd_S = expected([trial.intermediate_values for trial in first])
            fitted = Surrogate.fitted(
                np.stack([self._place_of(seen.rank(trial), trial) for trial in first]), value_S, sd_S
            )
            self._judged = which, fitted.spread, fitted.error
        return self._judged[1:]

    def taken(self, keys: Sequence[Key], candidates: Mapping[Key, Neighbour]) -> Mapping[str, Any]:
        """The first that the space allows; those before it, and the one itself, are candidates no more."""
        for key in keys:
            self._pool.remove(key)
            if self._space.allows(candidates[key].schedule, self._total_steps):
                return candidates[key].params
        return candidates[keys[0]].params
