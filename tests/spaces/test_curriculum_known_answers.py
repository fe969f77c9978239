"""The curricula against the published formulas, written out step by step as their authors have them."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from spaces import Curriculum
from spaces.curricula.constant import Constant
from spaces.curricula.ct_sqrt import CTSqrt
from spaces.curricula.difficulty_clusters import DifficultyClusters
from spaces.curricula.ect import ECT
from spaces.curricula.exponential import Exponential
from spaces.curricula.sinusoidal import Sinusoidal
from spaces.curricula.snr_timestep import SNRTimestep
from spaces.curriculum import values_of

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
        (CTSqrt(s0=2, s1=150), [2, 48, 68, 83, 96, 107, 120, 131, 144, 151]),
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


def published_square_root(k: int, total_steps: int, s0: int, s1: int) -> int:
    scales = math.ceil(math.sqrt((k / total_steps) * ((s1 + 1) ** 2 - s0**2) + s0**2) - 1)
    return max(scales, 1) + 1


@pytest.mark.parametrize("total_steps", [50, 2000, 14_286])
def test_ct_is_the_published_square_root_at_every_step(total_steps: int) -> None:
    step_K = np.arange(total_steps + 1, dtype=np.int64)
    for s0, s1 in [(2, 150), (2, 200), (10, 1280), (20, 20)]:
        expected = [published_square_root(k, total_steps, s0, s1) for k in range(total_steps + 1)]
        assert CTSqrt(s0=s0, s1=s1).num_levels(step_K, total_steps).tolist() == expected


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0, 3.0, 7.0])
def test_ct_rises_from_s0_to_s1_for_every_power_and_evenly_for_1(power: float) -> None:
    step_K = np.arange(1491, dtype=np.int64)
    for s0, s1 in [(2, 150), (3, 64), (7, 7)]:
        num_levels_K = CTSqrt(s0=s0, s1=s1, power=power).num_levels(step_K, 1490)
        assert (num_levels_K[0], num_levels_K[-1]) == (s0, s1 + 1)
        assert (np.diff(num_levels_K) >= 0).all()
    linear_K = CTSqrt(power=1.0).num_levels(step_K, 1490)
    assert np.unique(linear_K[1:], return_counts=True)[1].tolist() == [10] * 149
    with pytest.raises(ValueError, match="s0 <= s1"):
        CTSqrt(s0=151, s1=150)


def test_ect_has_as_many_intervals_as_its_teacher_takes_steps_to_the_bottom() -> None:
    """r(t) of the public code, stage by stage; 5.06 q**(stage + 1) in the limit of small gaps."""
    num_levels_K = ECT().num_levels(np.arange(800, dtype=np.int64), 800)
    levels, lengths = np.unique(num_levels_K, return_counts=True)
    assert lengths.tolist() == [100] * 8
    for stage, num_levels in enumerate(levels.tolist()):
        t = torch.tensor(80.0, dtype=torch.float64)
        for remaining in range(num_levels - 1, 0, -1):
            assert t > 0.002, remaining
            t = torch.clamp(t * (1 - (1 + 8 * torch.sigmoid(-t)) / 2 ** (stage + 1)), min=0)
        assert t <= 0.002
    ratio_S = (levels - 1) / 2.0 ** np.arange(1, 9)
    assert ratio_S[-1] == pytest.approx(5.06, abs=0.02)
    assert ECT(q=256.0, num_stages=1).num_levels(0, 10) == levels[-1]  # the one-hour recipe: the last stage
    with pytest.raises(ValueError, match=r"5.07 \* q\*\*num_stages <= 16384"):
        ECT(num_stages=12)


def test_clusters_hold_equal_mass_and_join_from_the_noisiest_on() -> None:
    probability_M = torch.tensor([0.1, 0.4, 0.3, 0.2], dtype=torch.float64)
    easy = DifficultyClusters(num_clusters=4)
    expected = [[0, 0, 0.2, 0.8], [0, 0, 0.6, 0.4], [0, 1 / 3, 0.4, 4 / 15], [0.1, 0.4, 0.3, 0.2]]
    for phase, wanted in enumerate(expected):
        measured_M = easy.reweighted(probability_M, phase)
        torch.testing.assert_close(measured_M, torch.tensor(wanted, dtype=torch.float64))
    hard = DifficultyClusters(num_clusters=4, order="hard_to_easy")
    for phase in range(4):
        mirrored_M = easy.reweighted(probability_M.flip(0), phase).flip(0)
        torch.testing.assert_close(hard.reweighted(probability_M, phase), mirrored_M)


def test_clusters_share_a_fraction_of_the_budget_equally() -> None:
    phase_K = DifficultyClusters(num_clusters=5, fraction=0.5).phases_at(np.arange(1000), 1000)
    assert np.unique(phase_K, return_counts=True)[1].tolist() == [100, 100, 100, 100, 600]


@pytest.mark.parametrize(
    ("fraction", "num_clusters", "total_steps"), [(0.01, 50, 5000), (0.07, 100, 700), (0.3, 7, 2100)]
)
def test_clusters_join_at_the_step_that_the_decimal_fraction_says(
    fraction: float, num_clusters: int, total_steps: int
) -> None:
    """In exact fractions: in floats 28 / (.01 * 5000) * 50 is below 28."""
    clusters = DifficultyClusters(fraction=fraction, num_clusters=num_clusters)
    share = Fraction(str(fraction)) * total_steps
    expected = [
        min(math.floor(step * num_clusters / share), num_clusters - 1) for step in range(total_steps + 1)
    ]
    assert clusters.phases_at(np.arange(total_steps + 1), total_steps).tolist() == expected
    if num_clusters == 50:
        assert expected[28:31] == [28, 29, 30]


def test_snr_timestep_trains_over_the_run_as_its_formula_says() -> None:
    """Mean over k of (1 - k/K)/M + (k/K) p is half uniform, half p."""
    probability_M = torch.tensor([0.0, 0.7, 0.3], dtype=torch.float64)
    curriculum = SNRTimestep()
    phase_K = curriculum.phases_at(np.arange(640), 640)
    assert np.unique(phase_K, return_counts=True)[1].tolist() == [20] * 32
    trained_KM = torch.stack([curriculum.reweighted(probability_M, phase) for phase in phase_K.tolist()])
    torch.testing.assert_close(trained_KM.mean(0), 0.5 * probability_M + 0.5 / 3)
    step_K = (torch.arange(640, dtype=torch.float64) + 0.5)[:, None] / 640
    formula_KM = (1 - step_K) / 3 + step_K * probability_M
    assert (trained_KM - formula_KM).abs().max().item() <= 0.5 / 32


@pytest.mark.parametrize("total_steps", [1, 2, 16, 31, 33, 100, 2000, 4097])
def test_snr_timestep_takes_parts_for_the_run_but_for_half_a_step(total_steps: int) -> None:
    """How much of p is trained over the run: one half by the formula."""
    curriculum = SNRTimestep()
    phase_K = curriculum.phases_at(np.arange(total_steps), total_steps)
    p_M = torch.tensor([1.0, 0.0], dtype=torch.float64)
    share_K = [2 * curriculum.reweighted(p_M, phase)[0].item() - 1 for phase in phase_K.tolist()]
    assert abs(np.mean(share_K) - 0.5) < 1 / (2 * total_steps)


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


@pytest.mark.parametrize(
    ("curriculum", "stages"),
    [
        (CTSqrt(s0=2, s1=150), 150),
        (CTSqrt(s0=2, s1=300, power=1.0), 300),
        (Sinusoidal(s0=5, s1=640, period=0.5, delta=0.0, offset=0), 8 * 636),
        (Sinusoidal(s0=5, s1=640, period=0.5, delta=0.1), 126),
        (Sinusoidal(s0=5, s1=640, period=4.0, delta=0.0, amplitude=20, offset=0), 21),
    ],
)
def test_what_a_curriculum_comes_to_is_known_closely_before_it_runs(
    curriculum: Curriculum, stages: int
) -> None:
    """So that a search is refused only if its exports would really be too large."""
    num_levels_K = curriculum.num_levels(np.arange(200_000, dtype=np.int64), 200_000)
    is_start_K = np.diff(num_levels_K, prepend=0) != 0
    assert curriculum.most_levels == num_levels_K.max()
    assert is_start_K.sum() == pytest.approx(stages, rel=0.03)
    assert curriculum.most_stages == pytest.approx(stages, rel=0.03)
    values = values_of(int(is_start_K.sum()), int(num_levels_K[is_start_K].sum()))
    assert values <= curriculum.most_values(200_000) <= 1.6 * values
    assert curriculum.most_values(10) <= 10 * (2 * curriculum.most_levels + 3)


@pytest.mark.parametrize("period", [0.25, 0.5, 1.0, 2.0])
def test_the_sine_of_a_multiple_of_pi_is_nothing_at_any_power(period: float) -> None:
    for delta in (math.pi, 2 * math.pi):
        levels = Sinusoidal(delta=delta, power=0.01, period=period).num_levels(np.arange(1001), 1000)
        assert set(levels.tolist()) == {21}
    unrounded = Sinusoidal(delta=0.0, power=0.01, period=period).num_levels(np.arange(1001), 1000)
    assert unrounded[0] == unrounded[-1] == 21
    assert unrounded[1] > 21
    # A sine that is truly small is not nothing.
    assert Sinusoidal(delta=0.0, power=0.01, exponent=100.0).num_levels(700, 1000) > 21


def test_a_step_at_which_phi_is_a_multiple_of_delta_begins_the_next_stage() -> None:
    for parts in range(2, 60):
        curriculum = Sinusoidal(delta=math.pi / parts, period=2.0)
        starts = [curriculum.num_levels(step, 1000 * parts) for step in range(0, 1000 * parts + 1, 1000)]
        expected = [
            20 + math.ceil(round(230 * abs(math.sin(math.pi * i / parts)), 9)) + 1 for i in range(parts + 1)
        ]
        assert starts == expected


@pytest.mark.parametrize("delta", [5e-324, 1e-310, 1e-9])
def test_sinusoidal_refuses_a_delta_next_to_nothing(delta: float) -> None:
    """phi / delta was beyond int64, and N = -9223372036854775807."""
    with pytest.raises(ValueError, match=f"`delta` must be 0 or at least 1e-06, but got delta={delta}"):
        Sinusoidal(delta=delta)
    fine, unrounded = Sinusoidal(delta=1e-6, period=0.01), Sinusoidal(delta=0.0, period=0.01)
    step_K = np.arange(1000, dtype=np.int64)
    assert abs(fine.num_levels(step_K, 1000) - unrounded.num_levels(step_K, 1000)).max() <= 1


def test_sinusoidal_refuses_a_floor_above_the_ceiling_and_a_single_level() -> None:
    with pytest.raises(ValueError, match="s0 <= s1"):
        Sinusoidal(s0=300, s1=250)
    with pytest.raises(ValueError, match="s0 \\+ offset >= 2"):
        Sinusoidal(s0=1, offset=0)
