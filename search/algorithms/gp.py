"""Bayesian optimisation with a Gaussian process."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from search.algorithm import Algorithm
from search.algorithms._unit_interval import value_at
from search.algorithms._view import Shown, view_of
from search.record import has_diverged


@dataclass(frozen=True, kw_only=True)
class GP(Algorithm):
    """Gaussian process with expected improvement, as Optuna ships it; a second or so for each proposal.

    Learns from finished trials only: of a stopped one it knows nothing, so it goes best with `stopping: none`.
    An option that a trial's family does not have counts as the middle of its range, so that one process
    covers the whole conditional space. The process is fitted to ln(objective), in which seeds differ by
    about as much everywhere; a diverged trial counts as the worst of the others, or it would make them look equal.

    num_startup_trials: random trials before the first model.
    """

    num_startup_trials: int = 10

    def __post_init__(self) -> None:
        if self.num_startup_trials < 1:
            raise ValueError(
                f"`num_startup_trials >= 1` must hold, but got num_startup_trials={self.num_startup_trials}"
            )

    def sampler(self, seed: int) -> BaseSampler:
        return WholeSpaceGPSampler(seed, self.num_startup_trials)


class WholeSpaceGPSampler(BaseSampler):
    """Optuna sampler: a GPSampler that sees a study of trials which all have the same parameters.

    Trials that run are points whose value is not known yet (q-batch expected improvement), which keeps
    parallel proposals apart. gp: Optuna's own sampler, which is asked.
    """

    def __init__(self, seed: int, num_startup_trials: int = 10):
        self.gp = GPSampler(seed=seed, n_startup_trials=num_startup_trials, warn_independent_sampling=False)

    def reseed_rng(self) -> None:
        self.gp.reseed_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        space = _union(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
        return {name: distribution for name, distribution in space.items() if not distribution.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self.gp.sample_relative(view_of_whole_space(study, trial.number), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self.gp.sample_independent(study, trial, param_name, param_distribution)


def view_of_whole_space(study: Study, asking: int) -> Study:
    """What trial number `asking` is shown: COMPLETE and other RUNNING trials, all with the same parameters."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    space = _union(complete)
    middle = {name: value_at(distribution, 0.5) for name, distribution in space.items()}

    def shown(trial: FrozenTrial, value: float | None) -> Shown:
        return Shown(trial, value, {name: trial.params.get(name, middle[name]) for name in space}, space)

    values = _fitted([trial.value for trial in complete if trial.value is not None])
    trials = [shown(trial, value) for trial, value in zip(complete, values, strict=True)]
    trials += [shown(trial, None) for trial in running if trial.number != asking and trial.params]
    return view_of(trials, study.direction)


def _fitted(values: Sequence[float]) -> list[float]:
    """Logarithms, the worst finite one for diverged trials; as they are where there is one without logarithm."""
    worst = max((value for value in values if not has_diverged(value)), default=0.0)
    bounded = [min(value, worst) for value in values]
    return [math.log(value) for value in bounded] if min(bounded, default=0.0) > 0 else bounded


def _union(trials: Sequence[FrozenTrial]) -> dict[str, BaseDistribution]:
    """The parameters of all the trials, without those whose range changed between them."""
    space: dict[str, BaseDistribution] = {}
    changed = set()
    for trial in trials:
        for name, distribution in trial.distributions.items():
            if space.setdefault(name, distribution) != distribution:
                changed.add(name)
    return {name: distribution for name, distribution in space.items() if name not in changed}
