"""Every algorithm in the folder meets Optuna's own contract of a sampler, and ours: no memory but the study."""

import dataclasses
import math
import random
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna._transform import _SearchSpaceTransform
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, TPESampler
from optuna.search_space.group_decomposed import _GroupDecomposedSearchSpace
from optuna.study import Study
from optuna.testing.pytest_samplers import BasicSamplerTestCase, RelativeSamplerTestCase
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial
from scipy.stats.qmc import discrepancy

from search.algorithm import ALGORITHMS, Algorithm
from search.algorithms._surrogate import embedding
from search.algorithms._trials_to_model import TrialsToModel
from search.algorithms._unit_interval import value_at
from search.algorithms.cmaes import CMAESSampler
from search.algorithms.density_gp import DensityGP
from search.algorithms.gp import WholeSpaceGPSampler, view_of_whole_space
from search.algorithms.qmc import QMC, SobolSampler
from search.algorithms.same_rung_tpe import RankedTrials, SameRungTPE, SameRungTPESampler, parameter_groups
from search.contracts._promise import Promise
from search.contracts.algorithms import PROMISES
from search.policy.conductor import Conductor
from search.policy.plan import Plan
from search.record import Report
from search.simulator.trials_in_memory import TrialsInMemory
from search.stopping.none import NoStopping
from search.study.store import StudyStore
from spaces import PRESETS, NoiseSchedule, SearchSpace

# Five families of laws that look alike in no parameter.
FAMILIES = dict.fromkeys(("lognormal", "logsnr_laplace", "logsnr_cauchy", "beta", "cosine_shifted"))
SCHEDULES = SearchSpace.from_mapping(
    {"noise": FAMILIES, "curriculum": {"constant": None, "exponential": None}}
)

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def built(name: str, seed: int, startup: int | None = None) -> BaseSampler:
    """A sampler of the algorithm `name`, with fewer random trials at the start where it has that option."""
    fields = {field.name for field in dataclasses.fields(ALGORITHMS[name])}
    options = {"num_startup_trials": startup} if startup and "num_startup_trials" in fields else {}
    sampler = ALGORITHMS.build({"name": name, **options}).sampler(seed)
    if isinstance(sampler, WholeSpaceGPSampler):
        sampler.gp._n_local_search = 3  # of 10: a third of the time, under the same contract
    return sampler


def proposes_jointly(name: str, distribution: BaseDistribution) -> bool:
    """Whether the algorithm proposes such parameters together after the one trial that Optuna's suite gives it."""
    study = optuna.create_study(sampler=built(name, seed=0, startup=1))
    trial = study.ask({"x": distribution, "y": distribution})
    study.tell(trial, 1.0)
    asked = study._storage.get_trial(study._storage.create_new_trial(study._study_id))
    return bool(study.sampler.infer_relative_search_space(study, asked)) and bool(
        study.sampler.sample_relative(study, asked, trial.distributions)
    )


EVERY = list(ALGORITHMS)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    JOINT_NUMBERS = [name for name in EVERY if proposes_jointly(name, FloatDistribution(0, 1))]
    JOINT = [name for name in JOINT_NUMBERS if proposes_jointly(name, CategoricalDistribution([1, 2]))]


@pytest.mark.parametrize("name", EVERY)
class TestSampler(BasicSamplerTestCase):
    """Optuna's suite, once for each file in search/algorithms/."""

    @pytest.fixture
    def sampler(self, name: str) -> Callable[[], BaseSampler]:
        return lambda: built(name, seed=0)


@pytest.mark.parametrize("name", JOINT)
class TestJointSampler(RelativeSamplerTestCase):
    """Optuna's suite for samplers that propose parameters together."""

    @pytest.fixture
    def sampler(self, name: str) -> Callable[[], BaseSampler]:
        return lambda: built(name, seed=0, startup=1)


@pytest.mark.parametrize("name", [name for name in JOINT_NUMBERS if name not in JOINT])
class TestJointSamplerOfNumbers(RelativeSamplerTestCase):
    """The same for those that propose numbers together and draw categories one by one."""

    test_sample_relative_categorical = None
    test_sample_relative_mixed = None

    @pytest.fixture
    def sampler(self, name: str) -> Callable[[], BaseSampler]:
        return lambda: built(name, seed=0, startup=1)


class TestSamplerOfSchedules(BasicSamplerTestCase):
    """Given a search space, and asked for parameters that are none of it."""

    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: DensityGP(num_startup_trials=3, num_candidates=4).sampler_in(SCHEDULES, 100, 0)


@pytest.mark.parametrize("promise", PROMISES)
@pytest.mark.parametrize("name", EVERY)
def test_an_algorithm_keeps_what_algorithms_keep(name: str, promise: Promise) -> None:
    promise(name)


def test_who_proposes_jointly() -> None:
    assert {"tpe", "same_rung_tpe", "gp"} <= set(JOINT)
    assert set(JOINT_NUMBERS) - set(JOINT) == {"cmaes"}
    assert not {"random", "qmc"} & set(JOINT_NUMBERS)


def toy(trial: Trial) -> float:
    """A space that is conditional on two families; family "a" and the middle of each range are best."""
    noise = trial.suggest_categorical("noise", ["a", "b", "c"])
    distance = abs(trial.suggest_float("rho", 2, 12) - 7) / 5
    if noise != "c":
        distance += abs(trial.suggest_float(f"{noise}.mean", -1, 1))
        distance += abs(np.log(trial.suggest_float(f"{noise}.std", 0.1, 10, log=True)))
    curriculum = trial.suggest_categorical("curriculum", ["constant", "exponential"])
    distance += abs(trial.suggest_int(f"{curriculum}.s0", 2, 18, log=True) - 6) / 10
    return 10.0 * (1 + distance + "abc".index(noise))


def end(study: Study, trial: Trial, value: float, rng: random.Random) -> None:
    """As trials end in a search: some stopped at their first rung, some diverged, some failed."""
    value, fate = 1e9 if rng.random() < 0.1 else value, rng.random()
    trial.report(1.5 * value, 50)
    if fate < 0.3:
        study.tell(trial, state=TrialState.PRUNED)
    elif fate < 0.35:
        study.tell(trial, state=TrialState.FAIL)
    else:
        trial.report(value, 100)
        study.tell(trial, value)


def restarted(study: Study) -> Study:
    """The study as a new driver has it: its trials and the search's seed, nothing that a sampler wrote."""
    copy = optuna.create_study()
    copy.set_user_attr("seed", study.user_attrs["seed"])
    for trial in study.get_trials(deepcopy=False):
        copy.add_trial(
            create_trial(
                state=trial.state,
                value=trial.value if trial.state == TrialState.COMPLETE else None,
                params=trial.params,
                distributions=trial.distributions,
                intermediate_values=trial.intermediate_values,
            )
        )
    return copy


@pytest.mark.parametrize("name", EVERY)
def test_a_restart_changes_no_proposal(name: str) -> None:
    """Four trials at a time in a conditional space: what comes next is the same for a driver that has just started."""
    study, rng, running = optuna.create_study(), random.Random(1), []
    study.set_user_attr("seed", 0)
    for number in range(18):
        again = restarted(study)
        again.sampler, study.sampler = built(name, number, startup=6), built(name, number, startup=6)
        trial, repeated = study.ask(), again.ask()
        value = toy(trial)
        toy(repeated)
        assert repeated.params == trial.params
        running.append((trial, value))
        if len(running) == 4:
            end(study, *running.pop(rng.randrange(4)), rng)


@pytest.mark.parametrize("name", JOINT_NUMBERS)
def test_who_learns_comes_closer_than_chance(name: str) -> None:
    """Two numbers, a tenth of the space diverges. Of uniform proposals pi .2^2 = .126 lie within .2 of the best
    point: 4 or more of 12 by chance once in 18 searches, in each of three once in 6,000."""
    for seed in range(3):
        study = optuna.create_study()
        close = []
        for number in range(36):
            study.sampler = built(name, 100 * seed + number, startup=8)
            trial = study.ask()
            x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
            distance = np.hypot(x - 0.7, y - 0.4)
            close.append(distance < 0.2)
            study.tell(trial, 1e9 if y > 0.9 else 20 * np.exp(distance))
        assert sum(close[24:]) >= 4


@pytest.mark.parametrize("name", [name for name in EVERY if hasattr(ALGORITHMS[name], "num_startup_trials")])
def test_impossible_options_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="`num_startup_trials >= 1` must hold, but got num_startup_trials=0"):
        ALGORITHMS.build({"name": name, "num_startup_trials": 0})


# qmc


def at_unit(distributions: Mapping[str, BaseDistribution], params: Mapping[str, float]) -> list[float]:
    """The parameters as fractions of their ranges: the inverse of value_at."""
    return list(_SearchSpaceTransform(dict(distributions), transform_0_1=True).transform(dict(params)))


@pytest.mark.parametrize(
    "distribution",
    [FloatDistribution(-3, 1), FloatDistribution(0.1, 10, log=True), FloatDistribution(0, 1, step=0.25)],
)
def test_fractions_of_a_range_are_spread_evenly(distribution: FloatDistribution) -> None:
    fractions = (np.arange(1000) + 0.5) / 1000
    back = [at_unit({"x": distribution}, {"x": value_at(distribution, u)})[0] for u in fractions]
    assert np.abs(np.array(back) - fractions).max() < (1e-9 if distribution.step is None else 0.1 + 1e-9)


@pytest.mark.parametrize("distribution", [CategoricalDistribution("abc"), IntDistribution(4, 6)])
def test_fractions_of_a_range_give_each_of_few_choices_its_share(distribution: BaseDistribution) -> None:
    counts = Counter(value_at(distribution, (i + 0.5) / 999) for i in range(999))
    assert sorted(counts.values()) == [333, 333, 333]


def searched(folder: Path, plan: Plan, restart_every: int) -> list[FrozenTrial]:
    """The proposals of a search on 4 workers, whose driver is replaced after every so many observations."""
    url, rng, seen = f"sqlite:///{folder / f'{restart_every}.db'}", random.Random(0), 0
    while True:
        store = StudyStore.open(url, "toy") or StudyStore.create(url, "toy", {"search": {}})
        conductor, running = Conductor(plan, store), []
        while True:
            while (record := conductor.next()) is not None:
                running.append(record)
            if not running:
                return store.load()
            record = running.pop(rng.randrange(len(running)))
            conductor.observe(record.number, plan.total_steps, [Report(plan.total_steps, 5.0, 0)], "complete")
            seen += 1
            if seen % restart_every == 0:
                break


def test_qmc_is_one_even_sequence_through_parallel_trials_and_restarts(tmp_path: Path) -> None:
    """In the search's own conditional space, by the centred discrepancy (Hickernell 1998)."""
    space = SearchSpace.from_mapping(
        {"noise": {"lognormal": None, "polynomial": None}, "curriculum": {"exponential": None}}
    )
    plan = Plan(
        space=space,
        baselines={},
        algorithm=QMC(),
        stopping=NoStopping(),
        total_steps=10,
        max_trials=32,
        max_concurrent=4,
        seed=3,
    )
    trials = searched(tmp_path, plan, restart_every=7)
    assert [t.params for t in trials] == [t.params for t in searched(tmp_path, plan, restart_every=1000)]
    assert Counter(trial.params["noise"] for trial in trials) == {"lognormal": 16, "polynomial": 16}
    rho = [
        at_unit({"": trial.distributions["grid.rho"]}, {"": trial.params["grid.rho"]})[0] for trial in trials
    ]
    assert sorted(int(32 * u) for u in rho) == list(range(32))  # one in each part

    names, chance = ("grid.rho", "lognormal.p_mean", "lognormal.p_std"), np.random.default_rng(0)
    members = [trial for trial in trials if trial.params["noise"] == "lognormal"]
    points = [at_unit({name: t.distributions[name] for name in names}, t.params) for t in members]
    by_chance = [discrepancy(chance.random((16, 3))) for _ in range(200)]
    assert discrepancy(np.array(points)) < np.quantile(by_chance, 0.01)


def test_qmc_is_one_sequence_where_proposals_are_dropped_too(tmp_path: Path) -> None:
    """Half of all proposals are one schedule. A restart forgets how often it was dropped."""
    noise = {"uniform": None, "lognormal": {"p_std": 2.0}}
    grid, curriculum = {"karras": {"rho": 7.0}}, {"constant": {"levels": 20}}
    plan = Plan(
        space=SearchSpace.from_mapping({"noise": noise, "curriculum": curriculum, "grid": grid}),
        baselines={},
        algorithm=QMC(),
        stopping=NoStopping(),
        total_steps=10,
        max_trials=16,
        max_concurrent=4,
        seed=3,
    )
    trials = searched(tmp_path, plan, restart_every=3)
    assert [t.params for t in trials] == [t.params for t in searched(tmp_path, plan, restart_every=1000)]
    assert Counter(trial.params["noise"] for trial in trials)["uniform"] < 4  # of 8 without drops


def test_qmc_gives_every_coordinate_its_own_scrambling_and_every_search_its_own_sequence() -> None:
    def drawn(seed: int) -> list[dict[str, float]]:
        study = optuna.create_study()
        study.set_user_attr("seed", seed)
        params = []
        for number in range(8):
            study.sampler = SobolSampler(seed=number)
            trial = study.ask({"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)})
            params.append(trial.params)
        return params

    assert drawn(1) == drawn(1)
    assert all(one["x"] != other["x"] for one, other in zip(drawn(1), drawn(2), strict=True))
    assert all(point["x"] != point["y"] for point in drawn(1))
    for name in ("x", "y"):  # one in each eighth of the range
        assert sorted(int(8 * point[name]) for point in drawn(1)) == list(range(8))


# gp and cmaes


def test_gp_sees_logarithms_and_a_middle_value_for_what_a_family_does_not_have() -> None:
    family = CategoricalDistribution(["a", "b"])
    study = optuna.create_study()
    for params, value in (
        ({"family": "a", "a.x": 0.1}, 5.0),
        ({"family": "b", "b.y": 4.0}, 1e9),
        ({"family": "a", "a.x": 0.9}, 7.0),
    ):
        distributions = {
            "family": family,
            "a.x": FloatDistribution(0, 1),
            "b.y": FloatDistribution(1, 100, log=True),
        }
        mine = {name: distributions[name] for name in params}
        study.add_trial(create_trial(value=value, params=params, distributions=mine))
    trials = view_of_whole_space(study, asking=-1).get_trials(deepcopy=False)
    assert [t.params["a.x"] for t in trials] == [0.1, 0.5, 0.9]
    assert [t.params["b.y"] for t in trials] == pytest.approx([10.0, 4.0, 10.0])
    assert [t.value for t in trials] == pytest.approx([math.log(5), math.log(7), math.log(7)])


def test_cmaes_writes_nothing_into_the_study_and_evolves_what_all_families_share() -> None:
    study = optuna.create_study()
    for number in range(20):
        study.sampler = CMAESSampler(seed=number)
        trial = study.ask()
        study.tell(trial, toy(trial))
    assert all(trial.system_attrs == {} for trial in study.get_trials(deepcopy=False))
    asked = study._storage.get_trial(study._storage.create_new_trial(study._study_id))
    assert set(study.sampler.infer_relative_search_space(study, asked)) == {"rho"}


# same_rung_tpe


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
    seen = {t.params["x"]: t.value for t in RankedTrials(study).view(study, asking=-1, min_at_rung=2).trials}
    assert seen == {0.1: 1.0, 0.2: 2.0, 0.3: 2.0}  # what was stopped before is the worst
    seen = {t.params["x"]: t.value for t in RankedTrials(study).view(study, asking=-1, min_at_rung=3).trials}
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
    seen = {t.params["x"]: t.value for t in RankedTrials(study).view(study, asking=-1, min_at_rung=2).trials}
    assert seen == {0.1: 1.0, 0.2: 5.0, 0.3: 5.0}


def test_what_same_rung_knows_of_a_study_follows_it_as_it_grows() -> None:
    """Trials that end in any order, four at a time: known bit by bit or looked at afresh is the same."""
    study, rng, running = optuna.create_study(), random.Random(3), []
    known = RankedTrials(study)
    for _ in range(80):
        trial = study.ask()
        running.append((trial, toy(trial)))
        if len(running) == 4:
            end(study, *running.pop(rng.randrange(4)), rng)
        views = [seen.view(study, trial.number, min_at_rung=12) for seen in (known, RankedTrials(study))]
        one, other = ([(t.number, t.value) for t in view.get_trials(deepcopy=False)] for view in views)
        assert one == other


def plain_copy(view: Study, seed: int) -> Study:
    """The same trials in a study of Optuna's own, asked by Optuna's TPE."""
    plain = optuna.create_study(sampler=TPESampler(seed=seed, multivariate=True, group=True))
    for seen in view.get_trials(deepcopy=False):
        plain.add_trial(create_trial(value=seen.value, params=seen.params, distributions=seen.distributions))
    return plain


@pytest.mark.parametrize("conditional", [False, True])
def test_same_rung_proposes_what_tpe_proposes_from_a_study_of_those_values(conditional: bool) -> None:
    """The short cuts to that study change nothing: 60 proposals, four at a time, against Optuna's plain way.

    In a conditional space the parameters that every trial has come out equal; the others are drawn in another order,
    and are those of Optuna's groups.
    """

    def flat(trial: Trial) -> float:
        return abs(trial.suggest_float("x", 0, 5)) + trial.suggest_int("y", 1, 20, log=True)

    ask = toy if conditional else flat
    study, rng, running = optuna.create_study(), random.Random(2), []
    for number in range(60):
        view = RankedTrials(study).view(study, asking=number, min_at_rung=12)
        plain = plain_copy(view, number)
        study.sampler = SameRungTPE().sampler(number)
        expected, trial = plain.ask(), study.ask()
        ask(expected)
        value = ask(trial)
        always = {"noise", "curriculum", "rho"} if conditional else {"x", "y"}
        assert {name: trial.params[name] for name in always} == {
            name: expected.params[name] for name in always
        }
        optunas = _GroupDecomposedSearchSpace().calculate(plain).search_spaces
        mine = parameter_groups(view.get_trials(deepcopy=False))
        assert sorted(map(sorted, mine)) == sorted(map(sorted, optunas))
        running.append((trial, value))
        if len(running) == 4:
            end(study, *running.pop(rng.randrange(4)), rng)


def test_same_rung_proposes_the_parameters_of_a_group_together() -> None:
    """Good trials have x near y, whichever they are: the two are proposed near each other, in a family too."""
    study, rng = optuna.create_study(), np.random.default_rng(0)
    distributions: dict[str, BaseDistribution] = {
        "noise": CategoricalDistribution(["a"]),
        "kind": CategoricalDistribution([0, 1]),
        "a.x": FloatDistribution(0, 1),
        "a.y": FloatDistribution(0, 1),
    }
    for _ in range(200):
        x, y = rng.random(2)
        params = {"noise": "a", "kind": 0, "a.x": float(x), "a.y": float(y)}
        study.add_trial(create_trial(value=abs(x - y), params=params, distributions=distributions))
    only_kind = {name: distributions[name] for name in ("noise", "kind")}
    study.add_trial(create_trial(value=1.0, params={"noise": "a", "kind": 1}, distributions=only_kind))
    gaps = []
    for seed in range(40):
        study.sampler = SameRungTPE().sampler(seed)
        trial = study.ask()
        x, y = trial.suggest_float("a.x", 0, 1), trial.suggest_float("a.y", 0, 1)
        study.tell(trial, state=TrialState.FAIL)
        gaps.append(abs(x - y))
    assert np.median(gaps) < 0.1  # of independent ones it is 0.29


def test_of_a_large_study_same_rung_sees_the_best_and_a_fixed_number_of_the_others() -> None:
    study = optuna.create_study()
    distributions: dict[str, BaseDistribution] = {"x": FloatDistribution(0, 1)}
    values = np.random.default_rng(1).permutation(3000)
    for value in values:
        params = {"x": value / 3000}
        study.add_trial(create_trial(value=float(value), params=params, distributions=distributions))
    seen = [
        t.value for t in RankedTrials(study).view(study, asking=-1, min_at_rung=12).get_trials(deepcopy=False)
    ]
    assert len(seen) == 300
    assert set(range(25)) <= set(seen)
    others = sorted(value for value in seen if value >= 25)
    assert abs(np.mean(others) - 1512) < 200  # as they are spread in the study


def test_same_rung_finds_the_better_half_of_a_conditional_space() -> None:
    """The best family and the best region of it get most proposals, though every trial is stopped early."""
    study = optuna.create_study()
    families = []
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


# Schedules as densities


def searched_by(
    algorithm: Algorithm, seed: int, trials: int, value: Callable[[NoiseSchedule], float]
) -> list[float]:
    """The values of a search among schedules, one trial after another."""
    plan = Plan(
        space=SCHEDULES,
        baselines={"ict": PRESETS["ict"].schedule},
        algorithm=algorithm,
        stopping=NoStopping(),
        total_steps=1000,
        max_trials=trials,
        seed=seed,
    )
    conductor = Conductor(plan, TrialsInMemory())
    values = []
    while (record := conductor.next()) is not None:
        values.append(value(record.schedule))
        conductor.observe(record.number, 1000, [Report(1000, values[-1], 0)], "complete")
    return values


def far_from_sigma_two(schedule: NoiseSchedule) -> float:
    """How far from ln sigma = ln 2 it trains, whatever its family: best are all laws narrow about it."""
    stage = schedule.stages(1000)[-1]
    middle_M = (stage.sigma_N[1:] * stage.sigma_N[:-1]).log() / 2
    return 1 + float(stage.probability_M @ (middle_M - math.log(2)).abs())


def test_density_gp_learns_from_one_family_what_is_good_of_the_others() -> None:
    """Of many families, each tried a few times at most, what is common to them is found in a few trials."""
    best = {
        name: [
            min(searched_by(ALGORITHMS.build({"name": name}), seed, 35, far_from_sigma_two))
            for seed in range(3)
        ]
        for name in ("density_gp", "random")
    }
    assert max(best["density_gp"]) < min(best["random"])


def test_density_gp_proposes_what_is_no_copy_of_a_trial_that_runs() -> None:
    plan = Plan(
        space=SCHEDULES,
        baselines={},
        algorithm=DensityGP(num_startup_trials=4),
        stopping=NoStopping(),
        total_steps=1000,
        max_trials=24,
        max_concurrent=20,
    )
    conductor = Conductor(plan, TrialsInMemory())
    for _ in range(4):
        record = conductor.next()
        assert record is not None
        conductor.observe(
            record.number, 1000, [Report(1000, far_from_sigma_two(record.schedule), 0)], "complete"
        )
    running = []
    while (record := conductor.next()) is not None:
        running.append(record.schedule)
    assert len(running) == 20
    places = np.stack([embedding(schedule, 1000) for schedule in running])
    apart = ((places[:, None] - places) ** 2).sum(axis=2) + np.eye(20)
    assert apart.min() > 0.005


def test_of_a_large_study_density_gp_sees_the_best_and_a_sample_of_all() -> None:
    study = optuna.create_study()
    trials, seen = [], TrialsToModel(study)
    for number in range(3000):
        value = float((number * 7919) % 3000)
        state = TrialState.PRUNED if number % 3 == 0 else TrialState.COMPLETE
        trials.append(
            create_trial(
                state=state,
                value=value,
                params={"x": 0.5},
                distributions={"x": FloatDistribution(0, 1)},
                intermediate_values={1: value},
            )
        )
        trials[-1].number = number
        seen.update(trials)
        if number == 99:
            assert sorted(seen.shown()) == list(range(100))
    finished = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    best = sorted(finished, key=lambda trial: trial.values)[:50]
    assert seen.shown()[:50] == [trial.number for trial in best]
    assert 190 <= len(seen.shown()) <= 200
    # The sample is no better than others: of 3000 numbers' mean, 6 standard errors of 150.
    assert abs(np.mean(seen.shown()[50:]) - 1500) < 6 * 866 / 12
    afresh = TrialsToModel(study)
    afresh.update(trials)
    assert afresh.shown() == seen.shown()
