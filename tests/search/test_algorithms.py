"""Every algorithm in the folder meets Optuna's own contract of a sampler."""

import warnings
from collections.abc import Callable

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase
from optuna.trial import TrialState, create_trial

from search.algorithm import ALGORITHMS
from search.algorithms.same_rung_tpe import SameRungTPESampler, _view_of

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.mark.parametrize("name", list(ALGORITHMS))
class TestSampler(BasicSamplerTestCase):
    """Optuna's suite, once for each file in search/algorithms/."""

    @pytest.fixture
    def sampler(self, name: str) -> Callable[[], BaseSampler]:
        return lambda: ALGORITHMS.build(name).sampler(seed=0)


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_an_algorithm_depends_on_its_seed_and_the_study_alone(name: str) -> None:
    def proposals(seed: int) -> list[float]:
        study = optuna.create_study()
        drawn = []
        for number in range(15):
            study.sampler = ALGORITHMS.build(name).sampler(seed * 1000 + number)
            trial = study.ask()
            drawn.append(trial.suggest_float("x", 0, 1))
            study.tell(trial, drawn[-1])
        return drawn

    assert proposals(1) == proposals(1)
    assert proposals(1) != proposals(2)


def study_with(trials: list[tuple[float, dict[int, float], TrialState]]) -> optuna.Study:
    study = optuna.create_study()
    for x, reports, state in trials:
        value = reports[max(reports)] if state is TrialState.COMPLETE else None
        study.add_trial(
            create_trial(
                state=state,
                value=value,
                params={"x": x},
                distributions={"x": FloatDistribution(0, 1)},
                intermediate_values=reports,
            )
        )
    return study


def test_same_rung_uses_the_highest_rung_with_enough_values() -> None:
    study = study_with(
        [
            (0.1, {50: 9.0, 100: 1.0}, TrialState.COMPLETE),
            (0.2, {50: 8.0, 100: 2.0}, TrialState.COMPLETE),
            (0.3, {50: 7.0}, TrialState.PRUNED),
        ]
    )
    seen = {t.params["x"]: t.value for t in _view_of(study, asking=-1, min_at_rung=2).trials}
    assert seen == {0.1: 1.0, 0.2: 2.0}
    seen = {t.params["x"]: t.value for t in _view_of(study, asking=-1, min_at_rung=3).trials}
    assert seen == {0.1: 9.0, 0.2: 8.0, 0.3: 7.0}


def test_same_rung_takes_running_trials_for_the_worst_and_forgets_failures() -> None:
    study = study_with(
        [
            (0.1, {50: 1.0}, TrialState.PRUNED),
            (0.2, {50: 5.0}, TrialState.PRUNED),
            (0.3, {}, TrialState.RUNNING),
            (0.4, {50: 0.0}, TrialState.FAIL),
        ]
    )
    seen = {t.params["x"]: t.value for t in _view_of(study, asking=-1, min_at_rung=2).trials}
    assert seen == {0.1: 1.0, 0.2: 5.0, 0.3: 5.0}


def test_same_rung_finds_the_better_half_of_a_conditional_space() -> None:
    """The best family and the best region of it get most proposals, though every trial is stopped early."""
    study = optuna.create_study()
    families = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(60):
            study.sampler = SameRungTPESampler(seed=number)
            trial = study.ask()
            family = trial.suggest_categorical("family", ["a", "b"])
            x = trial.suggest_float(f"{family}.x", 0, 1)
            families.append(family)
            trial.report(x if family == "a" else 2 + x, step=50)
            study.tell(trial, state=TrialState.PRUNED)
    assert families[30:].count("a") >= 20
    assert isinstance(trial.distributions["family"], CategoricalDistribution)
