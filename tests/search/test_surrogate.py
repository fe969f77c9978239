"""A Gaussian process over what training sees of a schedule."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from search.algorithms._surrogate import (
    WIDTH_DENSITY,
    WIDTH_HUBER_C,
    WIDTH_LEVELS,
    Surrogate,
    embedding,
    expected,
)
from search.record import WORST_OBJECTIVE
from spaces import PRESETS, WEIGHTS, NoiseSchedule, SearchSpace
from spaces.continuous import Ends
from spaces.curricula.constant import Constant
from spaces.gap import Gap
from spaces.gaps.constant_ratio import ConstantRatio
from spaces.gaps.ect import ECTGap
from spaces.grids.karras import KarrasGrid
from spaces.losses.pseudo_huber import PseudoHuber
from spaces.losses.squared_l2 import SquaredL2
from spaces.noise.beta import Beta
from spaces.noise.lognormal import LogNormal
from spaces.noise.polynomial import Polynomial
from spaces.space.neighbour import neighbour

STEPS = 2000


def constant(noise: object, levels: int = 100) -> NoiseSchedule:
    return NoiseSchedule(grid=KarrasGrid(), noise=noise, curriculum=Constant(levels=levels))  # type: ignore[arg-type]


def squared_distance(one: NoiseSchedule, other: NoiseSchedule) -> float:
    return float(((embedding(one, STEPS) - embedding(other, STEPS)) ** 2).sum())


def test_the_same_training_under_two_names_has_one_place() -> None:
    assert squared_distance(constant(Polynomial(degree=2.0)), constant(Beta(a=0.5, b=1.0))) < 1e-12


def test_the_distance_of_two_laws_is_hellingers() -> None:
    """Of two lognormal laws in closed form; on the grid both are truncated, and mixed within bins."""
    one, other = constant(LogNormal(p_mean=-0.5, p_std=1.0)), constant(LogNormal(p_mean=0.5, p_std=1.2))
    variances = 1.0**2 + 1.2**2
    overlap = math.sqrt(2 * 1.0 * 1.2 / variances) * math.exp(-0.25 * (0.5 + 0.5) ** 2 / variances)
    assert squared_distance(one, other) == pytest.approx((1 - overlap) / WIDTH_DENSITY, rel=0.05)


def test_the_number_of_intervals_counts_by_its_logarithm() -> None:
    one, other = constant(LogNormal(), levels=33), constant(LogNormal(), levels=129)
    assert squared_distance(one, other) == pytest.approx(2**2 / (2 * WIDTH_LEVELS**2), abs=0.02)


def test_weight_and_loss_count_where_a_search_may_choose_them() -> None:
    one = constant(LogNormal())
    other = replace(one, weight=WEIGHTS["uniform"]())

    def whole(a: NoiseSchedule, b: NoiseSchedule) -> float:
        return float(((embedding(a, STEPS, whole=True) - embedding(b, STEPS, whole=True)) ** 2).sum())

    assert squared_distance(one, other) == 0 and whole(one, one) == 0
    root_one, root_other = (
        np.sqrt(schedule.minimised(schedule.stages(STEPS)[0]).probabilities) for schedule in (one, other)
    )
    hellinger = 1 - float(root_one @ root_other)
    assert whole(one, other) == pytest.approx(hellinger / WIDTH_DENSITY, rel=0.05)
    near, far = (replace(one, loss=PseudoHuber(huber_c=c)) for c in (1e-4, 1e-2))
    assert whole(near, far) == pytest.approx(math.log(100) ** 2 / (2 * WIDTH_HUBER_C**2))
    squared = replace(one, loss=SquaredL2())
    assert whole(far, squared) == pytest.approx(whole(near, far))  # as another factor of 100 would be


def test_the_gap_counts_by_where_it_is_and_by_its_logarithm() -> None:
    def place(gap: Gap) -> NDArray[np.float64]:
        return embedding(NoiseSchedule.continuous(LogNormal(), gap), STEPS, whole=True)

    def apart(one: Gap, other: Gap) -> float:
        return float(((place(one) - place(other)) ** 2).sum())

    halved = apart(ConstantRatio(q=256.0), ConstantRatio(q=512.0))
    minimised = 0.05  # the weight 1/(t - r) moves as well, next to sigma_min
    assert halved == pytest.approx(1 / (2 * WIDTH_LEVELS**2), abs=minimised)
    # ECT's gap is five times as wide where t is small: the same number of gaps lies elsewhere.
    same_number = apart(ConstantRatio(q=256.0), ECTGap(q=530.0, num_stages=1))
    assert same_number > halved
    assert place(ECTGap()).shape == embedding(constant(LogNormal()), STEPS, whole=True).shape


def denoising(weight: str = "edm", sigma_min: float = 0.002, p_mean: float = -1.2) -> NoiseSchedule:
    law = LogNormal(p_mean=p_mean, p_std=1.2)
    return NoiseSchedule.denoising(law, Ends(sigma_min=sigma_min), weight=WEIGHTS[weight]())


def test_diffusion_models_are_placed_by_law_and_weight_and_by_no_gap() -> None:
    """The target is the image: how far it is below t is no choice, and no number of levels either."""

    def apart(one: NoiseSchedule, other: NoiseSchedule) -> float:
        places = [embedding(schedule, STEPS, whole=True) for schedule in (one, other)]
        return float(((places[0] - places[1]) ** 2).sum())

    def hellinger(one: NoiseSchedule, other: NoiseSchedule, *, weighed: bool) -> float:
        stages = [one.stage_with(8193), other.stage_with(8193)]
        if weighed:
            stages = [one.minimised(stages[0]), other.minimised(stages[1])]
        return 1 - float(np.sqrt(stages[0].probabilities) @ np.sqrt(stages[1].probabilities))

    base = denoising()
    for other in (denoising("inverse_t"), denoising("uniform"), denoising(p_mean=-0.5)):
        expected = sum(hellinger(base, other, weighed=weighed) for weighed in (False, True))
        assert apart(base, other) == pytest.approx(expected / WIDTH_DENSITY, rel=0.05)
    # The law has 3 in 10,000 of its draws below .005: nearly nothing is another there.
    assert apart(*(denoising("uniform", sigma_min=sigma_min) for sigma_min in (0.001, 0.005))) < 0.001
    # What is learned comes to edm's on Gaussian data.
    assert apart(base, denoising("learned_uncertainty")) == pytest.approx(0, abs=1e-12)


def test_a_learned_weight_is_placed_by_what_it_comes_to() -> None:
    def apart(one: NoiseSchedule, other: NoiseSchedule) -> float:
        places = [embedding(schedule, STEPS, whole=True) for schedule in (one, other)]
        return float(((places[0] - places[1]) ** 2).sum())

    base = NoiseSchedule.continuous(LogNormal(), ConstantRatio(q=256.0), loss=SquaredL2())
    learned = replace(base, weight=WEIGHTS["learned_uncertainty"]())
    # For t far below sigma_data the distance is that of the noise, (t - r)^2 = (t / q)^2; edm's weight is 1/t^2.
    low = replace(base, noise=LogNormal(p_mean=-4.0, p_std=0.3))
    assert apart(replace(low, weight=learned.weight), replace(low, weight=WEIGHTS["edm"]())) < 1e-4
    assert apart(learned, replace(base, weight=WEIGHTS["edm"]())) > 0.01


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("total_steps", [1, 50, 2000])
def test_every_preset_has_a_place(name: str, total_steps: int) -> None:
    for whole in (False, True):
        assert np.isfinite(embedding(PRESETS[name].schedule, total_steps, whole=whole)).all()


def test_what_stopped_trials_come_to_follows_from_those_that_went_on() -> None:
    """ln of the value at the end is that at the rung less 1, here exactly: then a stopped trial's is as well."""
    rng = random.Random(0)
    early = [rng.uniform(3, 5) for _ in range(12)]
    curves = [{50: math.exp(e), 100: math.exp(e - 1)} for e in early] + [{50: math.exp(4.2)}]
    value_S, sd_S = expected(curves)
    assert value_S[:-1] == pytest.approx([e - 1 for e in early])
    assert value_S[-1] == pytest.approx(3.2, abs=0.02)
    assert np.all(sd_S[:-1] == 0) and 0 < sd_S[-1] < 0.2
    # Of one that has not been followed to the end there is less to say, the less the earlier.
    value_S, sd_S = expected([{25: 80.0}, {25: 81.0, 50: 40.0}, {25: 79.0, 50: 41.0, 100: 20.0}])
    assert sd_S[0] > sd_S[1] > sd_S[2] == 0


def test_a_diverged_trial_is_worse_than_all_others_and_spoils_no_line() -> None:
    curves = [{50: 20.0, 100: 10.0}, {50: 40.0, 100: 22.0}, {50: 25.0, 100: WORST_OBJECTIVE}, {50: 30.0}]
    value_S, sd_S = expected(curves)
    assert value_S.argmax() == 2
    assert value_S[2] == pytest.approx(math.log(22) + math.log(2))
    assert math.log(10) < value_S[3] < math.log(22)
    assert np.isfinite(sd_S).all()
    assert np.isfinite(expected([{50: WORST_OBJECTIVE}])[0]).all()


SPACE = SearchSpace.from_mapping(
    {
        "noise": {"lognormal": None, "logsnr_laplace": None, "polynomial": None},
        "curriculum": {"constant": None},
    }
)


def sampled(count: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places of random schedules, (count, D), and of each how far from ln sigma = 0 it trains, a smooth function."""
    rng = random.Random(seed)
    schedules = [neighbour(SPACE, {}, 1, rng).schedule for _ in range(count)]
    values = []
    for schedule in schedules:
        stage = schedule.stages(STEPS)[0]
        middle_M = (stage.sigma_N[1:] * stage.sigma_N[:-1]).log() / 2
        values.append(float(stage.probability_M @ middle_M.abs()))
    return np.stack([embedding(schedule, STEPS) for schedule in schedules]), np.array(values)


def test_it_predicts_other_schedules_and_says_how_well() -> None:
    (known_SD, value_S), (other_CD, value_C) = sampled(60, 0), sampled(40, 1)
    noisy_S = value_S + np.random.default_rng(0).normal(0, 0.1, 60)
    surrogate = Surrogate.fitted(known_SD, noisy_S, np.zeros(60))
    mean_C, sd_C = surrogate(other_CD)
    errors_C = np.abs(mean_C - value_C)
    assert errors_C.mean() < 0.2 * np.abs(value_C - value_S.mean()).mean()
    assert np.mean(errors_C < 2 * sd_C) > 0.8
    # Where trials are, it knows more than elsewhere.
    assert surrogate(known_SD)[1].mean() < sd_C.mean()


def test_values_that_are_less_sure_count_less() -> None:
    known_SD = np.repeat(sampled(1, 2)[0], 2, axis=0)
    mean = Surrogate.fitted(known_SD, np.array([1.0, 3.0]), np.array([0.0, 3.0]))(known_SD)[0]
    assert mean[0] < 1.5


def test_what_is_believed_changes_no_mean_and_takes_the_doubt_away() -> None:
    (known_SD, value_S), (running_RD, _) = sampled(20, 0), sampled(3, 3)
    surrogate = Surrogate.fitted(known_SD, value_S, np.zeros(20))
    believing = surrogate.believing(running_RD)
    (before_R, sd_before_R), (after_R, sd_after_R) = surrogate(running_RD), believing(running_RD)
    assert after_R == pytest.approx(before_R)
    assert np.all(sd_after_R < sd_before_R)
    assert believing.apart(running_RD) == pytest.approx(np.zeros(3), abs=1e-12)


@pytest.mark.parametrize("count", [1, 2])
def test_few_or_equal_values_are_enough(count: int) -> None:
    known_SD, _ = sampled(count, 4)
    mean_C, sd_C = Surrogate.fitted(known_SD, np.full(count, 2.0), np.zeros(count))(sampled(5, 5)[0])
    assert mean_C == pytest.approx(np.full(5, 2.0))
    assert np.all(sd_C > 0)
