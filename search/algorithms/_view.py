"""Studies in memory that show a sampler of Optuna what it should see."""

import copy
from collections.abc import Container, Mapping, Sequence
from typing import Any, ClassVar

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState


def view_of(trials: Sequence[FrozenTrial], direction: StudyDirection) -> Study:
    """A study of the given trials. What a sampler writes to it is dropped, so it cannot read it back later."""
    sampler = optuna.samplers.RandomSampler(seed=0)  # never asked
    return optuna.create_study(storage=_Given(trials), direction=direction, sampler=sampler)


class Shown(FrozenTrial):
    """A trial as a sampler sees it: its parameters and one value, no attributes."""

    # TPE asks each trial for them once per group of parameters: a tenth of its time.
    constraints: ClassVar[Mapping[str, float]] = {}  # type: ignore[assignment]

    def __init__(
        self,
        trial: FrozenTrial,
        value: float | None,
        params: dict[str, Any] | None = None,
        distributions: dict[str, BaseDistribution] | None = None,
    ):
        """value: None for a trial that runs. params, distributions: instead of the trial's own."""
        super().__init__(
            number=trial.number,
            trial_id=trial.number,
            state=TrialState.RUNNING if value is None else TrialState.COMPLETE,
            value=value,
            params=trial.params if params is None else params,
            distributions=trial.distributions if distributions is None else distributions,
            datetime_start=None,
            datetime_complete=None,
            user_attrs={},
            system_attrs={},
            intermediate_values={},
        )


class _Given(InMemoryStorage):
    """A storage of given trials. Adding them one by one copies each deeply, which took longer than TPE itself."""

    def __init__(self, trials: Sequence[FrozenTrial]):
        super().__init__()
        self._given = trials

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        trials = [trial for trial in self._given if states is None or trial.state in states]
        return copy.deepcopy(trials) if deepcopy else trials

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        pass
