"""What Ray Tune's own parts tell Optuna, and whom they call the winner: a yardstick for `search_quality.py`.

OptunaSearch (Ray 2.60) tells every trial that its scheduler ended as COMPLETE with the last value it reported, however
early that was; `ResultGrid.get_best_result` takes the best last value of all trials. Nothing is confirmed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.algorithm import Algorithm
from search.evidence.leaderboard import Leaderboard
from search.simulator.quality import Exported, on_sight


@dataclass(frozen=True, kw_only=True)
class StockTPE(Algorithm):
    """OptunaSearch's default sampler, Optuna's TPE, told what OptunaSearch tells it."""

    def sampler(self, seed: int) -> BaseSampler:
        return StoppedAsComplete(TPESampler(seed=seed))


class StoppedAsComplete(BaseSampler):
    """Shows a sampler stopped trials as COMPLETE with their last value."""

    def __init__(self, sampler: BaseSampler):
        self._sampler = sampler
        self._views: dict[int, Study] = {}

    def _view(self, study: Study, trial: FrozenTrial) -> Study:
        if trial.number not in self._views:
            view = optuna.create_study(
                direction=study.direction, sampler=optuna.samplers.RandomSampler(seed=0)
            )
            view.add_trials([_as_complete(each) for each in study.get_trials(deepcopy=False)])
            self._views = {trial.number: view}
        return self._views[trial.number]

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._sampler.infer_relative_search_space(self._view(study, trial), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return dict(self._sampler.sample_relative(self._view(study, trial), trial, search_space))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        view = self._view(study, trial)
        return self._sampler.sample_independent(view, trial, param_name, param_distribution)


def _as_complete(trial: FrozenTrial) -> FrozenTrial:
    reported: Mapping[int, float] = trial.intermediate_values
    if trial.state is not TrialState.PRUNED or not reported:
        return trial
    return create_trial(
        state=TrialState.COMPLETE,
        value=reported[max(reported)],
        params=trial.params,
        distributions=trial.distributions,
    )


def best_observed(board: Leaderboard) -> Exported:
    """The trial with the best last value, finished or not, on the strength of that value."""
    seen = [row for row in board.rows if row.search_value is not None]
    return on_sight(board, min(seen, key=lambda row: (row.search_value, row.record.number)))
