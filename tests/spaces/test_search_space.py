import json
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FixedTrial

from spaces import CURRICULA, NOISE, PRESETS, KarrasGrid, NoiseSchedule, SearchSpace
from spaces.curricula.constant import Constant
from spaces.curricula.exponential import Exponential
from spaces.noise.lognormal import LogNormal
from spaces.noise.uniform import Uniform
from spaces.space.problems import SpaceError

optuna.logging.set_verbosity(optuna.logging.WARNING)

NARROW = {
    "grid": {"rho": 7, "sigma_max": {"low": 40, "high": 80}},
    "noise": {"lognormal": {"p_mean": -1, "p_std": {"choices": [1.4, 2]}}, "uniform": None},
    "curriculum": {"exponential": {"s0": 10, "doublings": {"low": 2, "high": 6, "step": 2}}},
}


def ask(space: SearchSpace, num_trials: int, seed: int = 0) -> list[tuple[Any, NoiseSchedule]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    drawn = []
    for _ in range(num_trials):
        trial = study.ask()
        drawn.append((trial, space.suggest(trial)))
    return drawn


@pytest.mark.parametrize("mapping", [None, NARROW])
def test_the_params_of_a_proposed_schedule_propose_it_again(mapping: dict[str, Any] | None) -> None:
    space = SearchSpace.from_mapping(mapping)
    for trial, schedule in ask(space, 60):
        params = space.params_of(schedule)
        assert params == trial.params
        assert space.suggest(FixedTrial(params)) == schedule
        assert space.suggest(study_frozen(trial)) == schedule
        assert NoiseSchedule.from_dict(json.loads(json.dumps(schedule.to_dict()))) == schedule


def study_frozen(trial: Any) -> optuna.trial.FrozenTrial:
    return trial.study.get_trials(deepcopy=False)[trial.number]


SEARCHED = [name for name, family in NOISE.items() if family.SEARCHED]


def test_everything_is_searched_unless_said_otherwise() -> None:
    for mapping in (None, {}, {"noise": None, "grid": {}}):
        space = SearchSpace.from_mapping(mapping)
        assert [family.prefix for family in space.noise] == SEARCHED
        assert [family.prefix for family in space.curriculum] == list(CURRICULA)
        assert space == SearchSpace.from_mapping(None)
    assert "tabulated" in NOISE and "tabulated" not in SEARCHED  # plain numbers that no search should draw
    drawn = ask(space, 100)
    assert {trial.params["noise"] for trial, _ in drawn} == set(SEARCHED)
    assert {trial.params["curriculum"] for trial, _ in drawn} == set(CURRICULA)


def test_only_the_params_of_the_families_drawn_are_asked_for() -> None:
    space = SearchSpace.from_mapping(None)
    for trial, _ in ask(space, 40):
        prefixes = {name.partition(".")[0] for name in trial.params if "." in name}
        assert prefixes <= {"grid", trial.params["noise"], trial.params["curriculum"]}


def test_a_grid_that_is_not_named_is_karras_with_its_old_parameter_names() -> None:
    plain = SearchSpace.from_mapping({"grid": {"rho": {"low": 5, "high": 9}}})
    assert [(family.prefix, family.cls) for family in plain.grid] == [("grid", KarrasGrid)]
    assert plain.to_dict()["grid"]["rho"] == {"low": 5.0, "high": 9.0, "log": False}
    assert all("grid" not in trial.params for trial, _ in ask(plain, 3))


def test_named_grids_are_searched_conditional_on_the_family() -> None:
    space = SearchSpace.from_mapping(
        {
            "grid": {"karras": {"rho": 7}, "karras_master": {"levels": {"choices": [251, 321]}}},
            "curriculum": {"constant": {"levels": {"low": 20, "high": 251}}},
        }
    )
    seen = set()
    for trial, schedule in ask(space, 40):
        of_grid = {name for name in trial.params if name.startswith("karras")}
        master = {"karras_master.rho", "karras_master.levels"}
        assert of_grid == (master if trial.params["grid"] == "karras_master" else set())
        assert space.params_of(schedule) == trial.params
        seen.add(trial.params["grid"])
    assert seen == {"karras", "karras_master"}
    assert SearchSpace.from_mapping(json.loads(json.dumps(space.to_dict()))) == space
    one = SearchSpace.from_mapping({"grid": {"karras_master": {"levels": 3000}}})
    assert {name for trial, _ in ask(one, 3) for name in trial.params} >= {"karras_master.rho"}
    assert SearchSpace.from_mapping(one.to_dict()) == one


def test_a_floor_is_searched_or_fixed_where_the_file_says_so() -> None:
    searched = SearchSpace.from_mapping({**NARROW, "uniform_floor": {"low": 0, "high": 0.2}})
    for trial, schedule in ask(searched, 10):
        assert schedule.uniform_floor == trial.params["uniform_floor"] <= 0.2
        assert searched.params_of(schedule) == trial.params
    fixed = SearchSpace.from_mapping({**NARROW, "uniform_floor": 0.05})
    chosen = SearchSpace.from_mapping({**NARROW, "uniform_floor": {"choices": [0, 0.05]}})
    for trial, schedule in ask(fixed, 5):
        assert schedule.uniform_floor == 0.05
        assert fixed.params_of(schedule) == trial.params
        assert SearchSpace.from_mapping(NARROW).params_of(schedule) is None
        assert chosen.params_of(schedule) == {**trial.params, "uniform_floor": 0.05}
    for space in (searched, fixed, chosen):
        assert SearchSpace.from_mapping(json.loads(json.dumps(space.to_dict()))) == space


def test_what_is_fixed_is_no_optuna_parameter() -> None:
    space = SearchSpace.from_mapping(NARROW)
    distributions: dict[str, Any] = {}
    for trial, schedule in ask(space, 30):
        distributions |= trial.distributions
        assert schedule.grid.rho == 7.0
        assert schedule.noise in (
            LogNormal(p_mean=-1.0, p_std=1.4),
            LogNormal(p_mean=-1.0, p_std=2.0),
            Uniform(),
        )
    assert distributions == {
        "grid.sigma_max": FloatDistribution(40.0, 80.0),
        "noise": CategoricalDistribution(["lognormal", "uniform"]),
        "lognormal.p_std": CategoricalDistribution([1.4, 2.0]),
        "exponential.doublings": IntDistribution(2, 6, step=2),
    }


def test_a_space_of_one_schedule_has_no_parameters() -> None:
    ict = PRESETS["ict"].schedule
    space = SearchSpace.from_mapping(
        {
            "grid": {"rho": {"low": 7, "high": 7}},
            "noise": {"lognormal": {"p_mean": -1.1, "p_std": {"choices": [2.0]}}},
            "curriculum": {"exponential": {"s0": 10, "doublings": 7}},
        }
    )
    assert space.suggest(FixedTrial({})) == ict
    assert space.params_of(ict) == {}


def test_log_and_step_come_from_the_class_unless_given() -> None:
    space = SearchSpace.from_mapping(
        {
            "grid": {"rho": {"low": 2, "high": 8, "step": 2}},
            "noise": {
                "logsnr_laplace": {"b": {"low": 1, "high": 3}, "mu": {"low": 1, "high": 2, "log": True}}
            },
            "curriculum": {"constant": {"levels": {"low": 20, "high": 40, "step": 10}}},
        }
    )
    assert space.grid[0].free == {"rho": FloatDistribution(2.0, 8.0, step=2.0)}
    assert space.noise[0].free == {
        "mu": FloatDistribution(1.0, 2.0, log=True),
        "b": FloatDistribution(1.0, 3.0, log=True),  # the class searches b on a log scale
    }
    assert space.curriculum[0].free == {"levels": IntDistribution(20, 40, step=10)}


def test_an_option_that_is_not_searched_by_default_can_be() -> None:
    space = SearchSpace.from_mapping(
        {
            "noise": {"logsnr_laplace": {"sigma_data": {"low": 0.4, "high": 0.8}}},
            "curriculum": {"sinusoidal": {"offset": 0, "amplitude": {"choices": [None, 250]}}},
        }
    )
    params = {name for trial, _ in ask(space, 5) for name in trial.params}
    assert {"logsnr_laplace.sigma_data", "sinusoidal.amplitude"} <= params
    assert "sinusoidal.offset" not in params


def test_presets_inside_the_space_are_recognised_and_others_are_not() -> None:
    space = SearchSpace.from_mapping(None)
    assert space.params_of(PRESETS["ict"].schedule) == {
        "grid.rho": 7.0,
        "noise": "lognormal",
        "lognormal.p_mean": -1.1,
        "lognormal.p_std": 2.0,
        "curriculum": "exponential",
        "exponential.s0": 10,
        "exponential.doublings": 7,
    }
    assert space.params_of(PRESETS["ict_short"].schedule) is None  # s1 = 150 is fixed to none in the space
    grid, uniform, constant = KarrasGrid(), Uniform(), Constant(levels=20)
    outside = [
        NoiseSchedule(grid=KarrasGrid(rho=1.5), noise=uniform, curriculum=constant),
        NoiseSchedule(grid=KarrasGrid(sigma_max=40.0), noise=uniform, curriculum=constant),
        NoiseSchedule(grid=grid, noise=LogNormal(p_std=9.0), curriculum=constant),
    ]
    assert [space.params_of(schedule) for schedule in outside] == [None, None, None]
    narrow = SearchSpace.from_mapping(NARROW)
    for doublings, inside in [(2, True), (3, False), (4, True), (8, False)]:
        schedule = NoiseSchedule(grid=grid, noise=uniform, curriculum=Exponential(s0=10, doublings=doublings))
        assert (narrow.params_of(schedule) is not None) is inside
    assert narrow.params_of(NoiseSchedule(grid=grid, noise=uniform, curriculum=constant)) is None


@pytest.mark.parametrize("mapping", [None, NARROW])
def test_the_resolved_space_is_plain_data_that_reads_back(mapping: dict[str, Any] | None) -> None:
    space = SearchSpace.from_mapping(mapping)
    resolved = json.loads(json.dumps(space.to_dict()))
    assert SearchSpace.from_mapping(resolved) == space
    assert SearchSpace.from_mapping(resolved).to_dict() == space.to_dict()


def test_the_order_in_the_file_does_not_matter() -> None:
    one = SearchSpace.from_mapping({"noise": {"uniform": None, "lognormal": None}})
    other = SearchSpace.from_mapping({"noise": {"lognormal": {}, "uniform": {}}})
    assert one == other
    assert json.dumps(one.to_dict()) == json.dumps(other.to_dict())


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ([], "space: a mapping is needed, but got []"),
        ({"nois": {}}, "space: unknown section 'nois'. Known: grid, noise, curriculum"),
        ({"noise": ["lognormal"]}, "space.noise: a mapping is needed, but got ['lognormal']"),
        ({"noise": {}}, "space.noise: name at least one of "),
        ({"noise": {"lognorml": {}}}, "space.noise: unknown noise family 'lognorml'. Known: "),
        ({"noise": {"lognormal": 1}}, "space.noise.lognormal: a mapping is needed, but got 1"),
        ({"noise": {"lognormal": {"std": 1}}}, "space.noise.lognormal: unknown option 'std'. Known: p_mean"),
        ({"noise": {"lognormal": {"p_std": "2"}}}, "space.noise.lognormal.p_std: input should be a"),
        ({"noise": {"lognormal": {"p_std": None}}}, "space.noise.lognormal.p_std: input should be a valid"),
        ({"noise": {"lognormal": {"p_std": 0}}}, "space.noise.lognormal.p_std: `0.001 <= p_std <= 1000`"),
        (
            {"noise": {"lognormal": {"p_std": {"low": -1, "high": 2}}}},
            "space.noise.lognormal.p_std: `0.001 <= p_std <= 1000` must hold, but got p_std=-1.0",
        ),
        ({"grid": {"rho": {"low": 2}}}, "space.grid.rho: a range needs `low` and `high`"),
        ({"grid": {"rho": {"low": 9, "high": 2}}}, "space.grid.rho: `low <= high` must hold, but"),
        ({"grid": {"rho": {"low": 2, "hi": 9}}}, "space.grid.rho: unknown key of a range 'hi'"),
        ({"grid": {"rho": {"low": 2, "high": True}}}, "space.grid.rho.high: input should be a valid number"),
        ({"grid": {"rho": {"low": 2, "high": 9, "step": 2}}}, "space.grid.rho: `high - low` must be a"),
        ({"grid": {"rho": {"low": 2, "high": 9, "step": 0}}}, "space.grid.rho: `high - low` must be a"),
        ({"grid": {"rho": {"low": 2, "high": 9, "log": 1}}}, "space.grid.rho.log: input should be a"),
        (
            {"grid": {"rho": {"low": 2, "high": 8, "log": True, "step": 2}}},
            "space.grid.rho: `step` and `log: true` cannot be combined",
        ),
        (
            {"noise": {"logsnr_laplace": {"b": {"low": 0, "high": 2}}}},
            "space.noise.logsnr_laplace.b: `low > 0` must hold with `log: true`",
        ),
        ({"grid": {"rho": {"choices": []}}}, "space.grid.rho.choices: a list of values is needed"),
        ({"grid": {"rho": {"choices": [7, 7.0]}}}, "space.grid.rho.choices: a value stands there twice"),
        (
            {"noise": {"tabulated": {"weights": {"choices": [[1, 2], [2, 1]]}}}},
            "space.noise.tabulated.weights.choices: choices must be numbers, texts, true, false or null",
        ),
        ({"grid": {"rho": {"low": 2, "high": 9, "step": 1e-310}}}, "space.grid.rho: `high - low` must be a"),
        ({"grid": {"rho": {"choices": [7], "log": True}}}, "space.grid.rho: unknown key beside `choices`"),
        ({"grid": {"karras": None, "rho": 7}}, "space.grid: unknown grid 'rho'. Known: karras, karras_m"),
        ({"grid": {"karras": {"levels": 7}}}, "space.grid.karras: unknown option 'levels'. Known: sigma_min"),
        ({"grid": 7}, "space.grid: a mapping is needed, but got 7"),
        (
            {
                "grid": {"karras_master": {"levels": {"choices": [641, 1281]}}},
                "curriculum": {"exponential": {}},
            },
            "space.grid.karras_master: exponential(s0=10, doublings=7) needs up to 1281 levels, but karras",
        ),
        (
            {"grid": {"sigma_min": {"low": 0.1, "high": 500}, "sigma_max": 1000}, "noise": {"vp_linear": {}}},
            "space.noise.vp_linear: vp_linear has no mass that float64 can tell from 0 between sigma=500 and",
        ),
        (
            {"uniform_floor": {"low": 0, "high": 1}},
            "space.uniform_floor: `0 <= uniform_floor < 1` must hold, but",
        ),
        (
            {"uniform_floor": -0.1},
            "space.uniform_floor: `0 <= uniform_floor < 1` must hold, but got uniform_f",
        ),
        ({"uniform_floor": None}, "space.uniform_floor: input should be a valid number, but got None"),
        ({"uniform_floor": {"low": 0}}, "space.uniform_floor: a range needs `low` and `high`"),
        ({"grid": {"sigma_min": 90}}, "space.grid.sigma_min: `2 * sigma_min <= sigma_max` must hold"),
        (
            {"curriculum": {"constant": {"levels": {"low": 10.5, "high": 20}}}},
            "space.curriculum.constant.levels.low: input should be a valid integer, but got 10.5",
        ),
        ({"curriculum": {"sinusoidal": {"s0": 300}}}, "space.curriculum.sinusoidal.s0: `s0 <= s1` must hold"),
        (
            {"curriculum": {"exponential": {"s1": 150}}},
            "space.curriculum.exponential: `s0 * 2**(doublings - 1) < s1 < s0 * 2**doublings` must hold",
        ),
        (
            {"curriculum": {"exponential": {"doublings": {"low": 3, "high": 14}}}},
            "space.curriculum.exponential.doublings: `s0 * 2**doublings <= 16384` must hold",
        ),
    ],
)
def test_bad_input_is_refused_in_one_line_that_starts_with_its_key(mapping: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        SearchSpace.from_mapping(mapping)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_everything_wrong_with_a_space_is_found_at_once_with_its_place() -> None:
    with pytest.raises(SpaceError) as caught:
        SearchSpace.from_mapping(
            {
                "grid": {"rho": {"low": 2}, "sigma_min": 90},
                "nois": {},
                "noise": {"lognormal": {"p_std": "2", "std": 1}, "lognorml": {}},
                "curriculum": [],
                "uniform_floor": 2,
            }
        )
    assert [problem.full_place for problem in caught.value.problems] == [
        ("nois",),
        ("grid", "rho"),
        ("grid", "sigma_min"),
        ("noise", "lognorml"),
        ("noise", "lognormal", "std"),
        ("noise", "lognormal", "p_std"),
        ("curriculum",),
        ("uniform_floor",),
    ]
    assert str(caught.value) == "; ".join(map(str, caught.value.problems))


def test_curricula_that_may_come_to_more_than_an_export_holds_are_known_before_they_run() -> None:
    assert list(SearchSpace.from_mapping(None).too_large(10_000_000)) == []
    space = SearchSpace.from_mapping(
        {"curriculum": {"constant": None, "ct_sqrt": {"s1": {"low": 40, "high": 2200}}}}
    )
    ((name, message),) = space.too_large(2300)
    assert name == "ct_sqrt"
    assert message.startswith(
        "ct_sqrt(s0=2, s1=2200, power=1) may have stages of 4853200 values at total_ste"
    )
    assert list(space.too_large(800)) == []


def test_a_schedule_at_an_end_of_the_space_is_told() -> None:
    space = SearchSpace.from_mapping(
        {
            "grid": {"rho": {"low": 2, "high": 12}},
            "noise": {"lognormal": {"p_mean": {"low": -3, "high": 1}, "p_std": {"choices": [1.0, 2.0]}}},
            "curriculum": {"constant": {"levels": {"low": 2, "high": 100, "log": True}}},
        }
    )

    def ends(rho: float, p_mean: float, levels: int) -> list[str]:
        given = {
            "grid.rho": rho,
            "lognormal.p_mean": p_mean,
            "lognormal.p_std": 1.0,
            "constant.levels": levels,
        }
        return space.at_ends(space.suggest(FixedTrial(given)))

    assert ends(7.0, -1.0, 20) == []
    assert ends(7.0, 0.95, 20) == ["lognormal.p_mean=0.95 of [-3, 1]"]
    assert ends(2.0, -3.0, 98) == [
        "grid.rho=2 of [2, 12]",
        "lognormal.p_mean=-3 of [-3, 1]",
        "constant.levels=98 of [2, 100]",
    ]
    assert ends(7.0, 0.9, 2) == []  # there are no fewer levels
    assert space.at_ends(PRESETS["gokmen_constant"].schedule) == []  # outside of it
