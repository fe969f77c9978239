"""TPE on values that can be compared: all from one rung."""

import math
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from search.algorithm import Algorithm
from search.algorithms._view import Shown, view_of


@dataclass(frozen=True, kw_only=True)
class SameRungTPE(Algorithm):
    """TPE on the values at the highest rung that enough trials have reached (BOHB's rule, Falkner et al. 2018).

    A stopped trial's last value and a finished trial's last value were measured after different numbers
    of steps; ranking them together tells the model about budgets, not schedules (arXiv:1807.01774, section 3.2).

    num_startup_trials: random trials before the first model. min_at_rung: observations that a rung needs.
    """

    num_startup_trials: int = 10
    min_at_rung: int = 12

    def __post_init__(self) -> None:
        for name in ("num_startup_trials", "min_at_rung"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name} >= 1` must hold, but got {name}={getattr(self, name)}")

    def sampler(self, seed: int) -> BaseSampler:
        return SameRungTPESampler(
            seed=seed, num_startup_trials=self.num_startup_trials, min_at_rung=self.min_at_rung
        )


class SameRungTPESampler(BaseSampler):
    """Optuna sampler: a TPE that sees a study of COMPLETE trials with their values at one rung.

    Trials that still run and have not reached that rung count as the worst value there (constant liar,
    Ginsbourger et al. 2010), which keeps parallel proposals apart.
    """

    def __init__(self, seed: int | None, num_startup_trials: int = 10, min_at_rung: int = 12):
        with warnings.catch_warnings():
            # `group` handles spaces that are conditional on the family; experimental in name since 2021.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._tpe = TPESampler(
                seed=seed,
                n_startup_trials=num_startup_trials,
                multivariate=True,
                group=True,
                constant_liar=False,
            )
        self._min_at_rung = min_at_rung
        self._asking: int | None = None  # trial number of what follows
        self._view: Study | None = None
        self._space: dict[str, BaseDistribution] = {}

    def reseed_rng(self) -> None:
        self._tpe.reseed_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        self._look(study, trial)
        return self._space

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._tpe.sample_relative(self._look(study, trial), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._tpe.sample_independent(self._look(study, trial), trial, param_name, param_distribution)

    def _look(self, study: Study, trial: FrozenTrial) -> Study:
        """What the trial sees of the study, the same for all its parameters."""
        if self._view is None or self._asking != trial.number:
            self._asking = trial.number
            self._view = _view_of(study, trial.number, self._min_at_rung)
            # The space follows from the first trial of each set of parameters; the others would only take time.
            shown = self._view.get_trials(deepcopy=False)
            first_with = {tuple(seen.params): seen for seen in reversed(shown)}
            first = sorted(first_with.values(), key=lambda seen: seen.number)
            self._space = self._tpe.infer_relative_search_space(view_of(first, study.direction), trial)
        return self._view


def _view_of(study: Study, asking: int, min_at_rung: int) -> Study:
    """An in-memory study of the values at one rung, as seen by trial number `asking`."""
    sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
    seen = [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.number != asking and trial.params and trial.state != TrialState.FAIL
    ]
    values = _values_at_rung(seen, min_at_rung)
    worst = max(values.values(), key=lambda value: sign * value, default=None)
    trials = []
    for trial in seen:
        value = values.get(trial.number)
        if value is None and trial.state == TrialState.RUNNING:
            value = worst
        if value is not None:
            trials.append(Shown(trial, value))
    return view_of(trials, study.direction)


def _values_at_rung(trials: Sequence[FrozenTrial], min_at_rung: int) -> dict[int, float]:
    """Trial number -> value at the highest step with `min_at_rung` values, else at the most frequent step.

    A finished trial without intermediate values counts at the step beyond all rungs.
    """
    at_step: defaultdict[float, dict[int, float]] = defaultdict(dict)
    for trial in trials:
        for step, value in trial.intermediate_values.items():
            if value == value:
                at_step[step][trial.number] = value
        if not trial.intermediate_values and trial.state == TrialState.COMPLETE and trial.value is not None:
            at_step[math.inf][trial.number] = trial.value
    full = [step for step, values in at_step.items() if len(values) >= min_at_rung]
    if full:
        return at_step[max(full)]
    return max(at_step.values(), key=len, default={})
