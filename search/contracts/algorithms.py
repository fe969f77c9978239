import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import optuna
from optuna.study import Study
from optuna.trial import TrialState

from search.algorithm import ALGORITHMS
from search.contracts._promise import Broken, Promise, documented, need, plain_data
from spaces import SearchSpace

_NUM = 15
# Families that have no parameter in common, as those of most searches.
_SPACE = {"noise": {"lognormal": None, "logsnr_laplace": None}, "curriculum": {"constant": None}}


@contextmanager
def _quiet() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)


def it_is_plain_data(name: str) -> None:
    documented(ALGORITHMS[name])
    plain_data(ALGORITHMS, ALGORITHMS.build(name))


def it_depends_on_its_seed_and_the_study_alone(name: str) -> None:
    with _quiet():
        first, again, other = (_numbers(name, seed) for seed in (1, 1, 2))
    need(first == again, "proposes otherwise each time: draw from the seed alone")
    need(first != other, "proposes the same whatever the seed")


def _numbers(name: str, seed: int) -> list[float]:
    study = optuna.create_study()
    study.set_user_attr("seed", seed)  # as the conductor does
    drawn = []
    for number in range(_NUM):
        study.sampler = ALGORITHMS.build(name).sampler(seed * 1000 + number)
        trial = study.ask()
        drawn.append(trial.suggest_float("x", 0, 1))
        study.tell(trial, drawn[-1])
    return drawn


def it_proposes_schedules_of_the_space(name: str) -> None:
    """Whatever became of the trials before: stopped, diverged, failed, still running."""
    space = SearchSpace.from_mapping(_SPACE)
    with _quiet():
        study: Study = optuna.create_study()
        study.set_user_attr("seed", 0)
        for number in range(_NUM):
            study.sampler = ALGORITHMS.build(name).sampler_in(space, 100, number)
            trial = study.ask()
            try:
                schedule = space.suggest(trial)
            except Exception as error:
                raise Broken(f"proposal {number + 1} fails: {type(error).__name__}: {error}") from error
            need(space.params_of(schedule) == trial.params, f"proposal {number + 1} is not of the space")
            trial.report(10.0 + number, 50)
            if number % 5 == 1:
                study.tell(trial, state=TrialState.PRUNED)
            elif number % 5 == 2:
                study.tell(trial, state=TrialState.FAIL)
            elif number % 5 != 3:
                study.tell(trial, 1e9 if number % 5 == 4 else 10.0 + number)


PROMISES: tuple[Promise, ...] = (
    it_is_plain_data,
    it_depends_on_its_seed_and_the_study_alone,
    it_proposes_schedules_of_the_space,
)
