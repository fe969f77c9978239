"""The curricula against the published formulas, written out step by step as their authors have them."""

import math

import numpy as np
import pytest

from spaces import Curriculum
from spaces.curricula.constant import Constant
from spaces.curricula.exponential import Exponential
from spaces.curricula.sinusoidal import Sinusoidal

ICT = Exponential(s0=10, doublings=7)
HALF_SINE = Sinusoidal(s0=20, s1=250, period=2.0, exponent=1.5, delta=0.1, offset=0)
QUARTER_SINE = Sinusoidal(s0=20, s1=250, period=4.0, exponent=1.0, delta=1 / 6, amplitude=250, offset=1)

FRACTIONS = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.63, 0.75, 0.9, 1.0]


@pytest.mark.parametrize(
    ("curriculum", "expected"),
    [
        (ICT, [11, 11, 21, 41, 81, 161, 321, 641, 1281, 1281]),
        (HALF_SINE, [20, 20, 66, 131, 169, 225, 250, 230, 139, 30]),
        (QUARTER_SINE, [21, 21, 63, 103, 141, 176, 207, 251, 251, 251]),
        (Constant(levels=20), [20] * 10),
    ],
)
@pytest.mark.parametrize("total_steps", [2000, 400_000])
def test_num_levels_at_fractions_of_the_budget(
    curriculum: Curriculum, expected: list[int], total_steps: int
) -> None:
    steps = [round(fraction * total_steps) for fraction in FRACTIONS]
    assert [curriculum.num_levels(step, total_steps) for step in steps] == expected


def published_exponential(k: int, total_steps: int, s0: int, s1: int) -> int:
    stage_steps = math.floor(total_steps / (math.log2(math.floor(s1 / s0)) + 1))
    return min(s0 * 2 ** math.floor(k / stage_steps), s1) + 1


def published_half_sine(k: int, total_steps: int) -> int:
    theta = math.floor(10 * math.pi * (k / total_steps) ** 1.5) / 10
    return math.ceil((250 - 20) * math.sin(theta) + 20)


def published_quarter_sine(k: int, total_steps: int) -> int:
    theta = math.floor(3 * math.pi * k / total_steps) / 3
    return min(math.ceil(250 * math.sin(theta / 2) + 20) + 1, 250 + 1)


@pytest.mark.parametrize("total_steps", [50, 2000, 14_286])
def test_sinusoids_are_the_published_code_at_every_step(total_steps: int) -> None:
    step_K = np.arange(total_steps, dtype=np.int64)
    half = [published_half_sine(k, total_steps) for k in range(total_steps)]
    quarter = [published_quarter_sine(k, total_steps) for k in range(total_steps)]
    assert HALF_SINE.num_levels(step_K, total_steps).tolist() == half
    assert QUARTER_SINE.num_levels(step_K, total_steps).tolist() == quarter


@pytest.mark.parametrize("total_steps", [50, 2000, 14_286])
def test_exponential_is_the_published_formula_at_every_step(total_steps: int) -> None:
    step_K = np.arange(total_steps, dtype=np.int64)
    for curriculum, s0, s1 in [
        (ICT, 10, 1280),
        (Exponential(s0=2, doublings=7, s1=150), 2, 150),
        (Exponential(s0=10, doublings=7, s1=686), 10, 686),
    ]:
        expected = [published_exponential(k, total_steps, s0, s1) for k in range(total_steps)]
        assert curriculum.num_levels(step_K, total_steps).tolist() == expected


def test_ict_has_8_stages_of_equal_length() -> None:
    num_levels_K = ICT.num_levels(np.arange(8000, dtype=np.int64), 8000)
    levels, lengths = np.unique(num_levels_K, return_counts=True)
    assert levels.tolist() == [11, 21, 41, 81, 161, 321, 641, 1281]
    assert lengths.tolist() == [1000] * 8


def test_the_period_gives_the_number_of_humps() -> None:
    step_K = np.arange(1000, dtype=np.int64)
    for period, humps in [(4.0, 0.5), (2.0, 1), (1.0, 2), (0.5, 4)]:
        num_levels_K = Sinusoidal(period=period, delta=0.0).num_levels(step_K, 1000)
        rising_K = np.diff(num_levels_K)[np.diff(num_levels_K) != 0] > 0
        turns = int((np.diff(rising_K.astype(int)) != 0).sum())
        assert turns == 2 * humps - 1
        assert num_levels_K.max() in (250, 251)


@pytest.mark.parametrize(
    "options",
    [
        {"s0": 10, "doublings": 7, "s1": 1280},  # the same curriculum as without s1: one way to say it
        {"s0": 10, "doublings": 7, "s1": 640},
        {"s0": 10, "doublings": 3, "s1": 1000},
        {"s0": 10, "doublings": 14},
    ],
)
def test_exponential_refuses_an_s1_that_does_not_go_with_the_doublings(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must hold, but got s0=10"):
        Exponential(**options)


def test_sinusoidal_refuses_a_floor_above_the_ceiling_and_a_single_level() -> None:
    with pytest.raises(ValueError, match="s0 <= s1"):
        Sinusoidal(s0=300, s1=250)
    with pytest.raises(ValueError, match="s0 \\+ offset >= 2"):
        Sinusoidal(s0=1, offset=0)
