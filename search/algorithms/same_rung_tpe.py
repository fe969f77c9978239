"""TPE on values that can be compared: all from one rung."""

import itertools
import math
import warnings
from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from search.algorithm import Algorithm
from search.algorithms._seen import Seen
from search.algorithms._view import Shown, view_of

# TPE takes time for every trial that it sees. Of the good it needs 25 (the most that its `gamma` takes); the density
# of the others is about the same from a few hundred as from all.
_MOST_GOOD = 25
_MOST_SHOWN = 300


@dataclass(frozen=True, kw_only=True)
class SameRungTPE(Algorithm):
    """TPE on the values at the highest rung that enough trials have reached (BOHB's rule, Falkner et al. 2018).

    A stopped trial's last value and a finished trial's last value were measured after different numbers
    of steps; ranking them together tells the model about budgets, not schedules (arXiv:1807.01774, section 3.2).
    Trials that were stopped below that rung are its worst, where BOHB forgets them: they were worse than others that
    went on, and without them the model knows the good region only, from a few trials (docs/search-quality.md).

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

    Trials that were stopped before that rung count as the worst value there. So do those that still run and have not
    reached it (constant liar, Ginsbourger et al. 2010), which keeps parallel proposals apart.

    Parameters that always occur together are proposed together, as by Optuna's TPE with `group`, but the groups of
    a conditional space only when the trial asks for them: of ours it uses three in ten.
    """

    def __init__(self, seed: int | None, num_startup_trials: int = 10, min_at_rung: int = 12):
        with warnings.catch_warnings():
            # `multivariate` is experimental in name since 2020.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._tpe = TPESampler(
                seed=seed,
                n_startup_trials=num_startup_trials,
                multivariate=True,
                constant_liar=False,
            )
        self._min_at_rung = min_at_rung
        self._asking: int | None = None  # trial number of what follows
        self._view: Study | None = None
        self._groups: list[dict[str, BaseDistribution]] = []
        self._drawn: dict[str, Any] = {}  # of groups that the trial has begun to ask for

    def reseed_rng(self) -> None:
        self._tpe.reseed_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        view = self._look(study, trial)
        shown = view.get_trials(deepcopy=False)
        always = set(shown[0].params).intersection(*(seen.params for seen in shown)) if shown else set()
        return next((group for group in self._groups if group.keys() <= always), {})

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._tpe.sample_relative(self._look(study, trial), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        view = self._look(study, trial)
        if param_name not in self._drawn:
            group = next((group for group in self._groups if param_name in group), {})
            if group.get(param_name) == param_distribution:
                self._drawn |= self._tpe.sample_relative(view, trial, group)
        if param_name in self._drawn:
            return self._drawn[param_name]
        return self._tpe.sample_independent(view, trial, param_name, param_distribution)

    def _look(self, study: Study, trial: FrozenTrial) -> Study:
        """What the trial sees of the study, the same for all its parameters."""
        if self._view is None or self._asking != trial.number:
            self._asking = trial.number
            self._view = RankedTrials.of(study).view(study, trial.number, self._min_at_rung)
            self._groups = parameter_groups(self._view.get_trials(deepcopy=False))
            self._drawn = {}
        return self._view


def parameter_groups(trials: Sequence[FrozenTrial]) -> list[dict[str, BaseDistribution]]:
    """Parameters that occur in the same trials, by name; those with one possible value are left out."""
    kinds: dict[tuple[str, ...], FrozenTrial] = {}
    for trial in trials:
        kinds.setdefault(tuple(trial.params), trial)
    occurs: defaultdict[str, list[int]] = defaultdict(list)
    distributions: dict[str, BaseDistribution] = {}
    for index, (names, trial) in enumerate(kinds.items()):
        for name in names:
            occurs[name].append(index)
            distributions.setdefault(name, trial.distributions[name])
    groups: defaultdict[tuple[int, ...], dict[str, BaseDistribution]] = defaultdict(dict)
    for name in sorted(distributions):
        if not distributions[name].single():
            groups[tuple(occurs[name])][name] = distributions[name]
    return list(groups.values())


class RankedTrials(Seen):
    """The ended trials of a study in the order that a proposal needs.

    at_step: (value, number) of those that have a value at a step, the best first. stopped: (last step, number) of
    PRUNED ones, by step. Values are turned so that lower is better.
    """

    def __init__(self, study: Study):
        super().__init__(study)
        self.sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        self.at_step: defaultdict[float, list[tuple[float, int]]] = defaultdict(list)
        self.stopped: list[tuple[float, int]] = []

    def take(self, trial: FrozenTrial) -> None:
        values = self.values_of(trial)
        for step, value in values.items():
            insort(self.at_step[step], (value, trial.number))
        if trial.state == TrialState.PRUNED:
            insort(self.stopped, (max(values, default=-math.inf), trial.number))

    def values_of(self, trial: FrozenTrial) -> dict[float, float]:
        """Values by step. A finished trial without intermediate values counts at the step beyond all rungs."""
        values: dict[float, float] = {
            step: self.sign * value
            for step, value in trial.intermediate_values.items()
            if not math.isnan(value)
        }
        if not trial.intermediate_values and trial.state == TrialState.COMPLETE and trial.value is not None:
            values[math.inf] = self.sign * trial.value
        return values

    def view(self, study: Study, asking: int, min_at_rung: int) -> Study:
        """An in-memory study of the values at one rung, as seen by trial number `asking`.

        The rung: the highest step with `min_at_rung` values, else the most frequent step.
        """
        trials = study.get_trials(deepcopy=False)
        running = [
            (trial, self.values_of(trial))
            for trial in self.update(trials)
            if trial.state == TrialState.RUNNING and trial.params and trial.number != asking
        ]
        count = Counter(step for _, values in running for step in values)
        count.update({step: len(ended) for step, ended in self.at_step.items()})
        if not count:
            return view_of([], study.direction)
        enough = [step for step, number in count.items() if number >= min_at_rung]
        rung = max(enough) if enough else max(count, key=lambda step: (count[step], step))
        told = self.at_step[rung].copy()
        for trial, values in running:
            if rung in values:
                insort(told, (values[rung], trial.number))
        below = bisect_left(self.stopped, (rung, -1))
        lying = [trial.number for trial, values in running if rung not in values]

        def place(index: int) -> tuple[int, float]:
            """(number, value) in the order from best to worst, without making a list of thousands."""
            if index < len(told):
                return told[index][1], told[index][0]
            index -= len(told)
            return (self.stopped[index][1] if index < below else lying[index - below]), told[-1][0]

        by_number = sorted(map(place, _thinned(len(told) + below + len(lying))))
        shown = [Shown(trials[number], self.sign * value) for number, value in by_number]
        return view_of(shown, study.direction)


def _thinned(count: int) -> Iterable[int]:
    """Of `count` from best to worst the best, which are TPE's model of the good, and of the others every n-th."""
    if count <= _MOST_SHOWN:
        return range(count)
    places = _MOST_SHOWN - _MOST_GOOD
    others = (_MOST_GOOD + place * (count - _MOST_GOOD) // places for place in range(places))
    return itertools.chain(range(_MOST_GOOD), others)
