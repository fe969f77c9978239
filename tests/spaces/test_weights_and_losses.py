"""Every weight in spaces/weights/ and loss in spaces/losses/, those dropped in later included, keeps these promises."""

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
import pytest

from search.contracts import losses, weights
from search.contracts._promise import Promise
from spaces import LOSSES, NOISE, PRESETS, WEIGHTS, NoiseSchedule, SearchSpace
from spaces.arrays import Array
from spaces.checks import check_values
from spaces.choice import Choice
from spaces.curricula.constant import Constant
from spaces.equality import distance, equal
from spaces.ideal_loss import ideal_distance
from spaces.loss import Constants, Loss
from spaces.losses.denoising import Denoising
from spaces.losses.pseudo_huber import PseudoHuber
from spaces.losses.squared_l2 import SquaredL2
from spaces.schedule import USUAL
from spaces.stage import Stage
from spaces.weight import Weight
from spaces.weights.tabulated import Tabulated

ICT = PRESETS["ict"].schedule
ROOT = math.sqrt(2.0)
# At t = 2, r = 1.5, sigma_data = .5.
KNOWN = {
    "inverse_gap": 2.0,
    "inverse_sqrt_gap": ROOT,
    "uniform": 1.0,
    "inverse_t": 0.5,
    "inverse_t_squared": 0.25,
    "edm": 4.25,  # 1/t^2 + 1/sigma_data^2
    "inverse_c_out": math.sqrt(4.25),
    "learned_uncertainty": 4.25,  # as edm, times e^-u with u = 0
    "tabulated": 1.0,
}
EVERY = [*((WEIGHTS, name) for name in WEIGHTS), *((LOSSES, name) for name in LOSSES)]
every = pytest.mark.parametrize(("registry", "name"), EVERY, ids=[name for _, name in EVERY])


def array(*values: float) -> Array:
    return np.array(values)


@pytest.mark.parametrize(("name", "expected"), KNOWN.items())
def test_a_weight_is_its_closed_form(name: str, expected: float) -> None:
    found = WEIGHTS[name]().of_pairs(array(2.0), array(1.5), 0.5)
    assert found.tolist() == [pytest.approx(expected, rel=1e-15)]


KEPT = [
    *((promise, name) for promise in weights.PROMISES for name in WEIGHTS),
    *((promise, name) for promise in losses.PROMISES for name in LOSSES),
]


@pytest.mark.parametrize(("promise", "name"), KEPT)
def test_a_weight_or_loss_keeps_what_those_keep(promise: Promise, name: str) -> None:
    promise(name)


def test_the_losses_are_their_closed_forms() -> None:
    slope, offset, shift = PseudoHuber().constants(4, 1.5)  # c = 3
    assert 16 / ((slope * 16 + offset) ** 0.5 + shift) == pytest.approx(5 - 3)
    assert PseudoHuber(huber_c=0.5).constants(4, 1.5) == (1, 1, 1)
    slope, offset, shift = SquaredL2().constants(4, 1.5)
    assert 16 / ((slope * 16 + offset) ** 0.5 + shift) == 16


@pytest.mark.parametrize(
    ("registry", "name"), [(registry, name) for registry, name in EVERY if name != "denoising"]
)  # which never stands beside iCT's levels
def test_a_schedule_with_it_is_another_one_that_says_so(registry: Any, name: str) -> None:
    (part, usual) = next((part, usual) for part, (known, usual) in USUAL.items() if known is registry)
    choice: Choice = registry[name]()
    schedule = dataclasses.replace(ICT, **{part: choice})
    if choice == usual:
        assert schedule == ICT and schedule.to_dict() == ICT.to_dict() and schedule.unusual == {}
        assert ICT.to_dict().keys() == {"grid", "noise", "curriculum", "uniform_floor"}  # as it always was
        assert NoiseSchedule.from_dict({**ICT.to_dict(), part: {"name": name}}) == ICT
    else:
        assert schedule.to_dict()[part] == registry.describe(choice)
        assert schedule.describe() == f"{ICT.describe()} {part}={choice.describe()}"
        assert distance(schedule, ICT, 200) == 1


def test_a_law_and_a_weight_of_one_product_are_two_schedules() -> None:
    """Uniform levels at weight p' / p minimise what p' minimises at weight 1: the same mean gradient, more noise."""
    law = NoiseSchedule(grid=ICT.grid, noise=ICT.noise, curriculum=Constant(levels=40))
    law = dataclasses.replace(law, weight=WEIGHTS["uniform"]())
    (stage,) = law.stages(10)
    even = Stage(0, stage.levels, np.full(39, 1 / 39))
    share_M = law.minimised(even).probabilities * (stage.probabilities * 39)
    np.testing.assert_allclose(share_M, law.minimised(stage).probabilities)
    by_weight = dataclasses.replace(law, noise=dataclasses.replace(ICT.noise, p_mean=-1.0))
    assert distance(law, by_weight, 10) > 0.01  # the law counts, not its product with a weight
    assert distance(law, dataclasses.replace(law, weight=WEIGHTS["inverse_t"]()), 10) == 1


@pytest.mark.parametrize(("other", "expected"), [(0.00101, 1 - 1 / 1.01), (0.002, 0.5), (0.001, 0)])
def test_near_constants_of_one_loss_are_near_schedules(other: float, expected: float) -> None:
    one, two = (dataclasses.replace(ICT, loss=PseudoHuber(huber_c=c)) for c in (0.001, other))
    assert distance(one, two, 100) == pytest.approx(expected, abs=1e-5)
    assert equal(one, two, 100) == (expected < 0.01)


@dataclass(frozen=True, kw_only=True)
class _Sharp(Loss):
    """s / sqrt(s + c), without the constant of pseudo-Huber."""

    c: float = 1.0

    TEXT = "of c"

    def constants(self, num_values: int, huber_c: float) -> Constants:
        return Constants(1.0, self.c, 0.0)


def _named_uniform() -> Weight:
    @dataclass(frozen=True, kw_only=True)
    class Uniform(Weight):
        """1 / t**2 by the name of another one."""

        FORMULA = "1 / t^2"

        def of_pairs(self, t_M: Array, r_M: Array, sigma_data: float) -> Array:
            return 1 / t_M**2

    Uniform.__qualname__ = "Uniform"
    return Uniform()


def test_other_options_of_a_loss_and_classes_of_one_name_are_other_schedules() -> None:
    near = [dataclasses.replace(ICT, loss=_Sharp(c=c)) for c in (1.0, 1.001)]
    alike = [dataclasses.replace(ICT, weight=weight) for weight in (WEIGHTS["uniform"](), _named_uniform())]
    assert repr(alike[0].weight) == repr(alike[1].weight)
    for one, other in (near, alike):
        assert distance(one, other, 100) == 1 and not equal(one, other, 100)
        assert distance(one, one, 100) == 0 and equal(one, one, 100)


def test_what_is_minimised_is_law_times_weight() -> None:
    stage = Stage(0, array(1.0, 2.0, 4.0), array(0.5, 0.5))
    pairs = ICT.pairs(stage, 0.5)
    assert [values_M.tolist() for values_M in pairs] == [[2, 4], [1, 2], [0.5, 0.5], [1, 0.5]]
    assert ICT.minimised(stage).probabilities.tolist() == pytest.approx([2 / 3, 1 / 3])


def test_importance_weights_multiply_the_weight() -> None:
    adaptive = dataclasses.replace(PRESETS["second_moment"].schedule, weight=WEIGHTS["inverse_t"]())
    stage = Stage(0, array(1.0, 2.0, 4.0), array(0.8, 0.2))
    assert adaptive.pairs(stage, 0.5).weight_M.tolist() == pytest.approx(
        [1 / (2 * 0.8) / 2, 1 / (2 * 0.2) / 4]
    )


def test_a_tabulated_weight_is_linear_in_logarithms_and_constant_outside() -> None:
    weight = Tabulated(log_t=(0.0, math.log(4.0)), log_weight=(0.0, math.log(16.0)))
    found = weight.of_pairs(array(0.1, 1.0, 3.0, 4.0, 9.0), array(0.0, 0.0, 0.0, 0.0, 0.0), 0.5)
    assert found.tolist() == pytest.approx([1, 1, 9, 16, 16])
    assert weight.describe() == "tabulated(knots=2, log_weight=0..2.773)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"log_t": (0.0, 1.0)}, "must be equally many numbers, 1 to 4096, but got 2 and 1"),
        ({"log_t": (), "log_weight": ()}, "must be equally many numbers, 1 to 4096, but got 0 and 0"),
        ({"log_t": (1.0, 1.0), "log_weight": (0.0, 0.0)}, "`log_t` must be finite and increasing"),
        ({"log_t": (math.inf,)}, "`log_t` must be finite and increasing"),
        ({"log_weight": (81.0,)}, "`log_weight` must lie between -80 and 80, but got 81.0"),
        ({"log_weight": (math.nan,)}, "`log_weight` must lie between -80 and 80, but got nan"),
    ],
)
def test_an_impossible_table_of_weights_is_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Tabulated(**options)


LEARNED = WEIGHTS["learned_uncertainty"]()


@pytest.mark.parametrize("loss", [SquaredL2(), PseudoHuber(huber_c=1e-9), Denoising()])
def test_a_perfect_model_of_gaussian_data_has_the_ideal_distance(loss: Loss) -> None:
    """By a million draws, per value: f takes x + t z to s / sqrt(t^2 + s^2) of it, the denoiser to its square."""
    s, t, r = 0.5, 0.7, 0.3
    x_D, z_D = np.random.default_rng(0).normal(size=(2, 1_000_000)) * [[s], [1.0]]
    scale = [s / math.hypot(level, s) for level in (t, r)]
    if loss.DENOISES:
        difference_D = scale[0] ** 2 * (x_D + t * z_D) - x_D
    else:
        difference_D = scale[0] * (x_D + t * z_D) - scale[1] * (x_D + r * z_D)
    slope, offset, shift = loss.constants(1, 1e-9)
    squared = np.square(difference_D).mean()
    found = ideal_distance(loss, array(t), array(r), s, 1e-9)
    # sqrt(2 / 1e6) is the relative deviation of the mean square: 6 of it.
    assert found[0] == pytest.approx(squared / (math.sqrt(slope * squared + offset) + shift), rel=0.0085)


def test_what_is_minimised_with_a_learned_weight_is_what_it_comes_to_on_gaussian_data() -> None:
    stage = Stage(0, array(0.1, 0.5, 2.0), array(0.5, 0.5))
    schedule = dataclasses.replace(ICT, weight=LEARNED, loss=SquaredL2())
    angle = np.arctan(array(0.2, 1.0, 4.0))
    share_M = 1 / np.square(np.sin(np.diff(angle) / 2))
    assert schedule.minimised(stage).probabilities.tolist() == pytest.approx(
        (share_M / share_M.sum()).tolist()
    )
    denoising = dataclasses.replace(PRESETS["edm"].schedule, weight=LEARNED)
    plain = PRESETS["edm"].schedule  # whose weight is that already
    found, expected = (one.minimised(one.stage_with(100)).probabilities for one in (denoising, plain))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_law_that_follows_the_losses_is_refused_beside_a_weight_that_does() -> None:
    message = "changes what the loss of a level counts, which the weight learned_uncertainty learns: take another noise"
    for name in ("loss_second_moment", "learned"):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(ICT, noise=NOISE[name](), weight=LEARNED)
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(ICT, noise=NOISE["tabulated"](importance_weights=True), weight=LEARNED)
    weights = {"uniform": None, "learned_uncertainty": None}
    with pytest.raises(ValueError, match=rf"space\.noise\.learned: learned\(.*\) {message}"):
        SearchSpace.from_mapping({"noise": {"lognormal": None, "learned": None}, "weight": weights})
    kept = {family.name for family in SearchSpace.from_mapping({"weight": weights}).noise}
    assert "lognormal" in kept and not kept & {"learned", "loss_second_moment"}
    assert ICT.adapts is False and dataclasses.replace(ICT, weight=LEARNED).adapts


def test_only_one_weight_is_learned() -> None:
    with pytest.raises(TypeError, match="only the weight learned_uncertainty is learned"):
        type("Mine", (WEIGHTS["edm"],), {"LEARNED": True, "__module__": "plugin"})


@dataclass(frozen=True, kw_only=True)
class _Endless(Weight):
    FORMULA = "1 / (t - 80)"

    def of_pairs(self, t_M: Array, r_M: Array, sigma_data: float) -> Array:
        return 1 / (80 - t_M)


def test_a_weight_that_is_infinite_at_a_level_in_use_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"the weight .* is inf at t=80, r=79\..*: it must be finite and above 0"
    ):
        dataclasses.replace(ICT, weight=_Endless())
    assert (
        dataclasses.replace(PRESETS["ect"].schedule, weight=_Endless()).weight == _Endless()
    )  # 80 is not in use


# --- search space ------------------------------------------------------------------------------------------

WHOLE = {
    "noise": {"lognormal": None},
    "curriculum": {"constant": None},
    "weight": dict.fromkeys(WEIGHTS),
    "loss": dict.fromkeys(name for name in LOSSES if name != "denoising"),
}


def test_the_parameters_of_the_later_parts_are_conditional_and_give_the_schedule_back() -> None:
    space = SearchSpace.from_mapping(WHOLE)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = set()
    for _ in range(60):
        trial = study.ask()
        schedule = space.suggest(trial)
        assert space.params_of(schedule) == trial.params
        assert ("loss.pseudo_huber.huber_c" in trial.params) == (trial.params["loss"] == "pseudo_huber")
        seen.add(trial.params["weight"])
    assert seen == set(WEIGHTS)
    assert SearchSpace.from_mapping(space.to_dict()) == space
    assert space.completed({"loss.pseudo_huber.huber_c": 1e-3})["loss"] == "pseudo_huber"
    with pytest.raises(ValueError, match="would have no effect with `loss` 'squared_l2'"):
        space.completed({"loss": "squared_l2", "loss.pseudo_huber.huber_c": 1e-3})
    ends = space.at_ends(
        NoiseSchedule(**{**vars(ICT), "curriculum": Constant(), "loss": PseudoHuber(huber_c=1e-2)})
    )
    assert ends == ["loss.pseudo_huber.huber_c=0.01 of [1e-05, 0.01]"]


def test_a_space_without_them_is_the_space_that_it_was() -> None:
    plain = SearchSpace.from_mapping({"noise": {"lognormal": None}})
    named = {"weight": {"inverse_gap": None}, "loss": {"pseudo_huber": {"huber_c": None}}}
    assert plain == SearchSpace.from_mapping({"noise": {"lognormal": None}, **named})
    assert plain.to_dict().keys() == {"grid", "noise", "curriculum", "uniform_floor"}
    assert not plain.unusual
    assert not {"weight", "loss"} & plain.distributions().keys()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"weight": None},
            r"space\.weight: name at least one of edm, .* or leave space\.weight out for inverse_gap",
        ),
        ({"weight": {"unifrom": None}}, r"space\.weight: unknown weight 'unifrom'\. Known: edm, "),
        ({"weight": {"uniform": {"c": 1}}}, r"space\.weight\.uniform: unknown option 'c'"),
        ({"loss": "squared_l2"}, r"space\.loss: a mapping is needed, but got 'squared_l2'"),
        (
            {"loss": {"pseudo_huber": {"huber_c": 0}}},
            r"space\.loss\.pseudo_huber\.huber_c: `1e-09 <= huber_c <= 1000`",
        ),
        (
            {"loss": {"pseudo_huber": {"huber_c": {"low": 0, "high": 1}}}},
            r"huber_c: `low > 0` must hold with `log: true`",
        ),
    ],
)
def test_what_has_no_meaning_is_one_line(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        SearchSpace.from_mapping(given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("weight", {"name": "unifrom"}, "weight: Unknown weight 'unifrom'"),
        ("weight", "uniform", "weight: a mapping is needed, but got 'uniform'"),
        ("loss", {"name": "pseudo_huber", "huber_c": "1"}, "loss.huber_c: input should be a valid number"),
    ],
)
def test_a_schedule_with_an_impossible_part_is_one_line(part: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        NoiseSchedule.from_dict({**ICT.to_dict(), part: value})
    assert str(caught.value).startswith(message)


def test_an_export_in_pairs_counts_twice() -> None:
    check_values(Constant(levels=16_385), 1)
    space = SearchSpace.from_mapping(
        {"curriculum": {"sinusoidal": {"s1": 8000}}, "weight": {"uniform": None}}
    )
    plain = SearchSpace.from_mapping({"curriculum": {"sinusoidal": {"s1": 8000}}})
    steps = next(n for n in range(1, 10_000) if list(space.too_large(n)))
    assert not list(plain.too_large(steps))
