"""CMA-ES: an evolution strategy."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna._transform import _SearchSpaceTransform
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import intersection_search_space
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from search.algorithm import Algorithm


@dataclass(frozen=True, kw_only=True)
class CMAES(Algorithm):
    """CMA-ES on the numbers that every family shares; the rest is drawn at random (Hansen & Ostermeier 2001).

    For a search of one noise family and one curriculum, and of hundreds of trials: it learns from finished
    trials only (a stopped one counts as if it had not been), a population of 4 + 3 ln d at a time
    (d numbers).
    """

    def sampler(self, seed: int) -> BaseSampler:
        return CMAESSampler(seed)


class CMAESSampler(BaseSampler):
    """Optuna sampler: the optimiser behind Optuna's CmaEsSampler (package `cmaes`), rebuilt at every proposal.

    Optuna pickles the optimiser into the study and begins anew where that is lost. Here it is told all
    COMPLETE trials again, by number, one population after another, whoever proposed them (injection, Hansen 2011,
    arXiv:1110.4181): a restart changes nothing, baselines and the trials of a wider search count, and nothing is
    ever unpickled. Of trials that run in parallel some were drawn a population or so before the one that they
    are counted in. It begins with the mean and the standard deviation of a uniform draw.
    """

    def __init__(self, seed: int):
        self._rng = np.random.default_rng(seed)
        self._random = RandomSampler(seed=seed)

    def reseed_rng(self) -> None:
        self._rng = np.random.default_rng()
        self._random.reseed_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        shared = intersection_search_space(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
        return {
            name: distribution
            for name, distribution in shared.items()
            if not isinstance(distribution, CategoricalDistribution) and not distribution.single()
        }

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not search_space:
            return {}
        from cmaes import CMA  # scipy.stats comes with it: to name an algorithm needs none of it

        unit = _SearchSpaceTransform(search_space, transform_0_1=True)
        optimizer = CMA(
            mean=np.full(len(unit.bounds), 0.5),
            sigma=math.sqrt(1 / 12),
            bounds=unit.bounds,
            seed=int(self._rng.integers(2**31)),
        )
        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        told = [
            (unit.transform(seen.params), sign * seen.value)
            for seen in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            if seen.value is not None
        ]
        size = optimizer.population_size
        for start in range(0, len(told) - size + 1, size):
            optimizer.tell(told[start : start + size])
        return unit.untransform(optimizer.ask())

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._random.sample_independent(study, trial, param_name, param_distribution)
