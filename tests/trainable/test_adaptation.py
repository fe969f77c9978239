"""Training with an adaptive noise family: what it converges to, what it keeps, what a static trial does not pay."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import trainable.training.accumulation
from spaces import CURRICULA, NOISE, PRESETS, KarrasGrid, NoiseSchedule, Stage
from spaces.adaptive_noise import AdaptiveNoise
from spaces.curricula.constant import Constant
from spaces.grids.karras_master import KarrasMasterGrid
from spaces.noise.loss_second_moment import LossSecondMoment
from spaces.noise.tabulated import Tabulated
from spaces.registry import name_of
from trainable.networks.film_mlp import FilmMlp
from trainable.training.config import TrainingConfig
from trainable.training.consistency import LevelTables
from trainable.training.trainer import Trainer

ICT = PRESETS["ict"].schedule
TINY = FilmMlp(width=8, depth=1, noise_features=4, noise_width=4)
CONFIG = TrainingConfig(total_steps=200, batch_size=16)
# Bins and windows small enough that the tiny trials of these tests adapt in each of their stages.
OPTIONS = {"num_bins": 4, "history": 40, "every": 10}
ADAPTIVE = {
    name: replace(ICT, noise=family(**OPTIONS))
    for name, family in NOISE.items()
    if issubclass(family, AdaptiveNoise)
}
every_adaptive = pytest.mark.parametrize("name", list(ADAPTIVE))


def begun(schedule: NoiseSchedule, seed: int = 3, config: TrainingConfig = CONFIG) -> Trainer:
    x_NCHW = torch.rand((50, 1, 4, 4), generator=torch.Generator().manual_seed(11)) * 2 - 1
    result = Trainer(TINY, x_NCHW, config)
    result.begin(schedule, seed)
    return result


def assert_same_state(a: Trainer, b: Trainer) -> None:
    tensors_a, scalars_a = a.state_dict()
    tensors_b, scalars_b = b.state_dict()
    assert scalars_a == scalars_b
    assert tensors_a.keys() == tensors_b.keys()
    for name in tensors_a:
        assert torch.equal(tensors_a[name], tensors_b[name]), name
    assert a.found_schedule() == b.found_schedule()


def stage_of_last_step(running: Trainer) -> Stage:
    stages = running.found_schedule().stages(running.total_steps)
    return [stage for stage in stages if stage.start_step < running.step][-1]


def probabilities_in_force(running: Trainer, levels: LevelTables) -> Tensor:
    """As drawn from: the differences of the distribution function in its level tables."""
    num = len(stage_of_last_step(running).probability_M)
    cdf_M = levels.cdf_M[:num].clamp(max=1)
    return cdf_M.diff(prepend=torch.zeros(1, dtype=torch.float64))


# --- known answers ---------------------------------------------------------------------------------------

LEVELS = 33


def bell_losses(monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """Makes the loss of an image at interval i exactly a_i |z|, z its first noise value; returns a_M.

    So its second moment is a_i^2 and its mean a_i sqrt(2/pi), whatever is trained.
    """
    student_M = KarrasGrid().sigmas(LEVELS)[1:].float()
    u_M = torch.arange(LEVELS - 1) / (LEVELS - 1)
    a_M = 0.2 + (-20 * (u_M - 0.4) ** 2).exp()
    weight_M = 1 / KarrasGrid().sigmas(LEVELS).diff()

    def loss(network, x_BCHW: Tensor, z_BCHW: Tensor, levels_BL: Tensor, loss_3: Tensor) -> Tensor:
        i_B = torch.searchsorted(student_M, levels_BL[:, 0].contiguous())
        importance_B = levels_BL[:, -1].double() / weight_M[i_B]
        zero = 0 * network(x_BCHW, levels_BL[:, 4]).sum()  # the step wants a gradient
        return (importance_B * a_M[i_B] * z_BCHW[:, 0, 0, 0].abs()).float() + zero

    monkeypatch.setattr(trainable.training.accumulation, "consistency_loss", loss)
    return a_M.double()


def test_probabilities_converge_to_the_root_of_a_known_second_moment(
    monkeypatch: pytest.MonkeyPatch, steps
) -> None:
    a_M = bell_losses(monkeypatch)
    noise = LossSecondMoment(num_bins=LEVELS - 1, history=100, every=25, uniform=0.01)
    schedule = NoiseSchedule(grid=KarrasGrid(), noise=noise, curriculum=Constant(levels=LEVELS))
    running = begun(schedule, config=TrainingConfig(total_steps=400, batch_size=64))
    running.train(400)
    expected_M = 0.99 * a_M / a_M.sum() + 0.01 / len(a_M)
    measured_M = probabilities_in_force(running, steps[-1].levels)
    # The mean of n squares z^2 has the relative deviation sqrt(2/n), its root half of that. Windows of 100 draws
    # forget like a mean of 100 to 200 of them. 6 sigma at n = 100, for each of 32 bins: by chance 6 times in 1e8.
    relative = measured_M / expected_M * (expected_M.sum() / measured_M.sum())
    assert (relative - 1).abs().max() < 6 / math.sqrt(2 * 100)
    assert (relative - 1).square().mean().sqrt() < 2 / math.sqrt(2 * 100)
    flat = (1 / len(a_M)) / expected_M
    assert (flat - 1).abs().max() > 1  # which the start would not have met


@pytest.mark.parametrize("importance_weights", [True, False])
def test_with_importance_weights_the_expected_objective_is_that_of_uniform_sampling(
    monkeypatch: pytest.MonkeyPatch, importance_weights: bool
) -> None:
    a_M = bell_losses(monkeypatch)
    noise = LossSecondMoment(num_bins=LEVELS - 1, history=50, every=10, importance_weights=importance_weights)
    schedule = NoiseSchedule(grid=KarrasGrid(), noise=noise, curriculum=Constant(levels=LEVELS))
    config = TrainingConfig(total_steps=600, batch_size=64, stratified=False)
    running = begun(schedule, config=config)
    running.train(200)  # adapted by now
    mean = running.train(600)
    uniform = a_M.mean().item() * math.sqrt(2 / math.pi)
    # Adapted probabilities have a smaller second moment than uniform ones, sum a_i^2 / M, so this bounds the error.
    deviation = math.sqrt(a_M.square().mean().item() - uniform**2) / math.sqrt(400 * 64)
    if importance_weights:
        assert mean == pytest.approx(uniform, abs=6 * deviation)  # 6 sigma: fails by chance twice in 1e9
    else:
        # Then levels of large losses count for more: sum p_i a_i with p_i ~ a_i.
        assert mean > uniform + 30 * deviation


@every_adaptive
def test_a_loss_without_a_spread_leaves_the_probabilities_uniform(
    monkeypatch: pytest.MonkeyPatch, steps, name: str
) -> None:
    def loss(network, x_BCHW: Tensor, z_BCHW: Tensor, levels_BL: Tensor, loss_3: Tensor) -> Tensor:
        t_B, r_B, weight_B = levels_BL[:, 0], levels_BL[:, 5], levels_BL[:, -1]
        return weight_B * (t_B - r_B) + 0 * network(x_BCHW, levels_BL[:, 4]).sum()

    monkeypatch.setattr(trainable.training.accumulation, "consistency_loss", loss)
    schedule = replace(ADAPTIVE[name], grid=KarrasGrid(rho=100.0))  # log-uniform is nearly uniform there
    running = begun(schedule)
    running.train(200)
    probability_M = probabilities_in_force(running, steps[-1].levels)
    torch.testing.assert_close(
        probability_M, torch.full_like(probability_M, 1 / len(probability_M)), rtol=0.1, atol=0
    )


# --- state -----------------------------------------------------------------------------------------------


@every_adaptive
@pytest.mark.parametrize("step", [1, 25, 50, 77, 80, 175, 199, 200])
def test_resume_in_a_new_trainer_equals_no_interruption_bit_for_bit(steps, name: str, step: int) -> None:
    """In the middle of a window, at its end, at the end of a stage (25, 50, 175) and of the trial."""
    whole = begun(ADAPTIVE[name])
    whole.train(step)
    halfway, levels = whole.state_dict(), steps[-1].levels
    resumed = begun(ADAPTIVE[name], config=CONFIG)
    resumed.train(13)  # leaves nothing behind
    resumed_levels = steps[-1].levels
    resumed.begin(ADAPTIVE[name], 3)
    resumed.load_state_dict(*halfway)
    assert_same_state(whole, resumed)
    assert whole.train(200) == resumed.train(200)
    assert_same_state(whole, resumed)
    in_force_M = probabilities_in_force(whole, levels)
    assert torch.equal(in_force_M, probabilities_in_force(resumed, resumed_levels))


@every_adaptive
def test_pauses_do_not_show(name: str) -> None:
    whole, paused = begun(ADAPTIVE[name]), begun(ADAPTIVE[name])
    asked = iter(range(1000))
    while paused.step < 200:
        paused.train(200, should_pause=lambda: next(asked) % 7 == 0)
    whole.train(200)
    assert_same_state(whole, paused)


@every_adaptive
def test_a_checkpoint_without_the_statistics_is_refused(name: str) -> None:
    running = begun(ADAPTIVE[name])
    running.train(33)
    tensors, scalars = running.state_dict()
    for missing in [name for name in tensors if name.startswith("adaptive_")]:
        rest = {name: tensor for name, tensor in tensors.items() if name != missing}
        with pytest.raises(ValueError, match=f"no tensor '{missing}'"):
            begun(ADAPTIVE[name]).load_state_dict(rest, scalars)


@every_adaptive
def test_a_trainer_is_reused_between_adaptive_and_static_trials(steps, name: str) -> None:
    reused = begun(ADAPTIVE[name], seed=8)
    reused.train(60)
    for schedule in (ICT, ADAPTIVE[name], PRESETS["gokmen_constant"].schedule, ADAPTIVE[name]):
        reused.begin(schedule, 3)
        reused.train(90)
        levels = steps[-1].levels
        fresh = begun(schedule)
        fresh.train(90)
        assert reused.found_schedule() == fresh.found_schedule()
        in_force_M = probabilities_in_force(reused, levels)
        assert torch.equal(in_force_M, probabilities_in_force(fresh, steps[-1].levels))
        for one, other in zip(reused.state_dict()[0].values(), fresh.state_dict()[0].values(), strict=True):
            assert torch.equal(one, other)


@every_adaptive
def test_a_change_of_n_keeps_what_was_learnt(name: str) -> None:
    running = begun(ADAPTIVE[name])
    running.train(25)
    assert len(stage_of_last_step(running).probability_M) == 10
    tensors, _ = running.state_dict()
    assert not tensors["adaptive_sums_M2"].any()  # taken in, though the window of 10 steps is not over
    assert tensors["adaptive_count_J"].sum().item() == pytest.approx(25 * 16)
    learnt = running.found_schedule()
    running.train(26)  # the first step of the next stage
    assert len(stage_of_last_step(running).probability_M) == 20
    assert running.found_schedule() == learnt
    assert learnt != begun(ADAPTIVE[name]).found_schedule()


def test_a_static_trial_keeps_no_statistics(steps) -> None:
    running = begun(ICT)
    running.train(30)
    assert all(step.state.sums_M2 is None for step in steps)
    assert not [name for name in running.state_dict()[0] if name.startswith("adaptive_")]
    assert running.found_schedule() is ICT


@every_adaptive
def test_trials_with_one_seed_see_the_same_random_numbers_adaptive_or_not(steps, name: str) -> None:
    adaptive, static = begun(ADAPTIVE[name]), begun(ICT)
    for until in (1, 37, 150):
        batches = []
        for each in (adaptive, static):
            each.train(until)
            batches.append(steps[-1].batch)
        for tensor in ("x_BCHW", "z_BCHW", "u_B"):
            assert torch.equal(getattr(batches[0], tensor), getattr(batches[1], tensor))


@every_adaptive
def test_adapting_leaves_the_global_random_state_alone(name: str) -> None:
    before = torch.random.get_rng_state()
    begun(ADAPTIVE[name]).train(120)
    assert torch.equal(torch.random.get_rng_state(), before)


# --- the step --------------------------------------------------------------------------------------------


@every_adaptive
def test_tables_and_sums_stay_where_they_are(steps, name: str) -> None:
    """A captured step reads and writes addresses."""
    begun(ADAPTIVE[name]).train(200)
    addresses = {
        tuple(tensor.data_ptr() for tensor in (step.state.sums_M2, step.levels.cdf_M, step.levels.table_ML))
        for step in steps
    }
    assert len(steps) == 200
    assert len(addresses) == 1


@every_adaptive
def test_sums_hold_the_draws_and_the_squared_losses_of_the_window(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    seen: list[Tensor] = []
    loss = trainable.training.accumulation.consistency_loss

    def spy(*args) -> Tensor:
        seen.append(loss(*args))
        return seen[-1]

    monkeypatch.setattr(trainable.training.accumulation, "consistency_loss", spy)
    running = begun(ADAPTIVE[name])
    running.train(83)
    count, squares = running.state_dict()[0]["adaptive_sums_M2"].sum(0).tolist()
    window = torch.cat(seen[80:]).detach().double()
    assert count == len(window) == 3 * 16
    assert squares == pytest.approx(window.square().sum().item(), rel=1e-12)


@every_adaptive
@pytest.mark.parametrize(
    "parts",
    [
        *({"curriculum": curriculum()} for curriculum in CURRICULA.values()),
        {"grid": KarrasMasterGrid(levels=1281)},
        {"uniform_floor": 0.2},
        {"uniform_floor": 0.2, "curriculum": CURRICULA["difficulty_clusters"]()},
    ],
    ids=lambda parts: "-".join(map(name_of, parts.values())),
)
def test_the_schedule_found_is_the_one_in_force_in_each_stage(
    steps, name: str, parts: dict[str, Any]
) -> None:
    """Trained statically, it has the probabilities and the weights that the adaptive trial had last."""
    running = begun(replace(ADAPTIVE[name], **parts))
    for until in (1, 60, 130, 200):
        running.train(until)
        found = running.found_schedule()
        assert isinstance(found.noise, Tabulated)
        assert NoiseSchedule.from_dict(found.to_dict()) == found
        stage, levels = stage_of_last_step(running), steps[-1].levels
        in_force_M = probabilities_in_force(running, levels)
        torch.testing.assert_close(in_force_M, stage.probability_M, rtol=0, atol=1e-12)
        static = begun(found)
        tensors, scalars = static.state_dict()
        static.load_state_dict(tensors, {**scalars, "step": stage.start_step})
        static.train(stage.start_step + 1)
        rows, table_ML = slice(0, len(stage.probability_M)), steps[-1].levels.table_ML
        assert torch.equal(table_ML[rows], levels.table_ML[rows])
        weight_M = table_ML[rows, -1].double() * stage.sigma_N.diff()
        drawn_M = stage.probability_M > 0
        expected_M = 1 / (len(weight_M) * stage.probability_M[drawn_M])
        torch.testing.assert_close(weight_M[drawn_M], expected_M, rtol=1e-5, atol=0)


@every_adaptive
def test_a_trial_that_diverges_ends_as_such(name: str) -> None:
    running = begun(ADAPTIVE[name])
    running.train(100)
    found = running.found_schedule()
    tensors, scalars = running.state_dict()
    tensors["parameters_P"].fill_(math.nan)
    running.load_state_dict(tensors, scalars)
    assert not math.isfinite(running.train(200))
    assert running.found_schedule() == found
