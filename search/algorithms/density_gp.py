"""Bayesian optimisation over densities: one model for all families."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FixedTrial, FrozenTrial
from threadpoolctl import ThreadpoolController

from search.algorithm import Algorithm
from search.algorithms._large_study import LargeStudy
from search.algorithms._pool import SHARES, Pool
from search.algorithms._surrogate import (
    NO_NEWS,
    Floats,
    Surrogate,
    best_of,
    embedding,
    expected,
    expected_improvement,
)
from search.algorithms._trials_to_model import TrialsToModel
from search.algorithms.same_rung_tpe import SameRungTPE
from spaces import NoiseSchedule, SearchSpace
from spaces.space.neighbour import Neighbour, neighbour

FEW = 64  # measured trials; with more, proposals are those of `LargeStudy`
# Candidates that are drawn for each proposal there, as shares of those for one of a small study.
_ANYWHERE, _NEAR = 2 / 32, 6 / 32


@dataclass(frozen=True, kw_only=True)
class DensityGP(Algorithm):
    """Gaussian process over what training sees of a schedule, with expected improvement (Jones et al. 1998).

    Schedules of all families are compared as densities over ln sigma (`_surrogate.py`), where others model the
    parameters of each family apart: on the digits it takes a quarter of their trials (docs/search-quality.md).
    All rungs count: what a stopped trial would have come to follows from those that went on, with its error. Of random
    and neighbouring candidates it takes the one with the largest expected improvement (doi:10.1023/A:1008306431147);
    trials that still run stand for what the model expects of them (kriging believer, Ginsbourger et al. 2010).

    num_startup_trials: measured trials before the first model, presets included; until then proposals are random.
    num_candidates: schedules among which one is chosen.
    """

    num_startup_trials: int = 8
    num_candidates: int = 32

    def __post_init__(self) -> None:
        for name, least in (("num_startup_trials", 1), ("num_candidates", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"`{name} >= {least}` must hold, but got {name}={getattr(self, name)}")

    def sampler(self, seed: int) -> BaseSampler:
        """Where there are no schedules, only parameters: same-rung TPE."""
        return SameRungTPE(num_startup_trials=self.num_startup_trials).sampler(seed)

    def sampler_in(self, space: SearchSpace, total_steps: int, seed: int) -> BaseSampler:
        return DensityGPSampler(space, total_steps, self.num_startup_trials, self.num_candidates, seed)


class DensityGPSampler(BaseSampler):
    """Optuna sampler that proposes a whole schedule at once, for studies of trials with the parameters of `space`."""

    def __init__(
        self, space: SearchSpace, total_steps: int, num_startup_trials: int, num_candidates: int, seed: int
    ):
        self._space, self._total_steps, self._whole = space, total_steps, bool(space.unusual)
        self._num_startup_trials, self._num_candidates = num_startup_trials, num_candidates
        self._seed, self._rng = seed, random.Random(seed)
        self._params: dict[str, Any] = {}

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        with _threads().limit(limits=1, user_api="blas"):
            self._params = self._proposed(study, trial)
        distributions = self._space.distributions()
        return {name: distributions[name] for name in self._params}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._params

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._other.sample_independent(study, trial, param_name, param_distribution)

    @cached_property
    def _other(self) -> RandomSampler:
        """For parameters that are none of the space."""
        return RandomSampler(seed=self._seed)

    def _proposed(self, study: Study, asking: FrozenTrial) -> dict[str, Any]:
        trials = study.get_trials(deepcopy=False)
        seen = _Kept.of(study)
        running = [trial for trial in seen.update(trials) if trial.params and trial.number != asking.number]
        measured = [
            *(trials[number] for number in seen.shown()),
            *(t for t in running if t.intermediate_values),
        ]
        if len(measured) < self._num_startup_trials:
            return neighbour(self._space, {}, 1.0, self._rng).params
        begun = [trial for trial in running if not trial.intermediate_values]
        if len(measured) > FEW:
            large = self._large(seen, study)
            return dict(large.proposed(seen, trials, seen.rank(asking), measured, begun))
        value_S, sd_S = expected([trial.intermediate_values for trial in measured])
        surrogate = Surrogate.fitted(self._embeddings(seen, measured), value_S, sd_S)
        if begun:
            surrogate = surrogate.believing(self._embeddings(seen, begun))
        candidates = self._candidates([measured[index].params for index in best_of(value_S)])
        embedding_CD = np.stack([self._embedding(candidate.schedule) for candidate in candidates])
        best = float(surrogate(surrogate.embedding_SD)[0].min())
        improvement_C = expected_improvement(*surrogate(embedding_CD), best)
        news_C = surrogate.apart(embedding_CD) > NO_NEWS
        by_improvement = np.argsort(-np.where(news_C, improvement_C, -1.0), kind="stable")
        allowed = (i for i in by_improvement if self._space.allows(candidates[i].schedule, self._total_steps))
        return candidates[next(allowed, by_improvement[0])].params

    def _large(self, seen: "_Kept", study: Study) -> LargeStudy:
        if seen.large is None:
            anywhere, near = (max(1, int(share * self._num_candidates)) for share in (_ANYWHERE, _NEAR))
            pool = Pool(self._space, study.user_attrs.get("seed", 0), anywhere=anywhere, near=near)
            seen.large = LargeStudy(self._space, self._total_steps, self._embedding, pool)
        return seen.large

    def _candidates(self, parents: Sequence[Mapping[str, Any]]) -> list[Neighbour]:
        count = self._num_candidates
        anywhere: list[Mapping[str, Any]] = [{}] * (count - count // 2)
        near = [parents[index % len(parents)] for index in range(count // 2)]
        return [
            neighbour(self._space, params, self._rng.choice(SHARES), self._rng)
            for params in (*anywhere, *near)
        ]

    def _embeddings(self, seen: "_Kept", trials: Sequence[FrozenTrial]) -> Floats:
        for trial in trials:
            if trial.number not in seen.embeddings:
                schedule = self._space.suggest(FixedTrial(trial.params))
                seen.embeddings[trial.number] = self._embedding(schedule)
        return np.stack([seen.embeddings[trial.number] for trial in trials])

    def _embedding(self, schedule: NoiseSchedule) -> Floats:
        return embedding(schedule, self._total_steps, whole=self._whole)


@cache
def _threads() -> ThreadpoolController:
    """Of linear algebra: on matrices this small more than one costs time, and takes the cores of the trials."""
    import scipy.linalg  # noqa: F401  (SciPy has a library of its own for it, and what is loaded later is not seen)

    return ThreadpoolController()


class _Kept(TrialsToModel):
    """What is kept with a study between two proposals.

    embeddings: of trials by number, while there are few. large: once there are many.
    """

    def __init__(self, study: Study) -> None:
        super().__init__(study)
        self.embeddings: dict[int, Floats] = {}
        self.large: LargeStudy | None = None
