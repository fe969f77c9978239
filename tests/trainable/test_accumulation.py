"""A batch in parts trains the same: losses, gradients, whole trials, samples, found schedules."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from spaces import PRESETS, NoiseSchedule
from trainable.network import Network, NetworkModule
from trainable.networks.film_mlp import FilmMlp
from trainable.networks.unet import Unet
from trainable.optimizer_strategies.constant import Constant
from trainable.optimizer_strategies.gradient_noise_scale import GradientNoiseScale
from trainable.training.config import TrainingConfig
from trainable.training.trainer import Trainer

ICT = PRESETS["ict"].schedule
ADAPTIVE = NoiseSchedule.from_dict(
    {**ICT.to_dict(), "noise": {"name": "loss_second_moment", "num_bins": 4, "history": 40, "every": 10}}
)
MLP = FilmMlp(width=8, depth=1, noise_features=4, noise_width=4)
UNET = Unet(channels=(8, 8), attention=True, noise_features=4, noise_width=8)
Passes = Callable[[type[NetworkModule]], list[int]]
Saved = tuple[dict[str, Tensor], dict[str, int | float | str]]
CONFIG = TrainingConfig(total_steps=200, batch_size=16)
HALVES = replace(CONFIG, optimizer_strategy=GradientNoiseScale())


def begun(
    config: TrainingConfig, network: Network, micro_batch: int | None, schedule: NoiseSchedule = ICT
) -> Trainer:
    generator = torch.Generator().manual_seed(11)
    trainer = Trainer(network, torch.rand((50, 1, 8, 8), generator=generator) * 2 - 1, config)
    trainer.begin(schedule, 3, micro_batch)
    return trainer


def weights(trainer: Trainer) -> Tensor:
    return trainer.state_dict()[0]["parameters_P"]


def gradient_and_loss(trainer: Trainer, saved: Saved, steps) -> tuple[Tensor, float]:
    """Of one step from `saved`."""
    trainer.load_state_dict(*saved)
    before = saved[0]["loss_sum"].item()
    trainer.train(trainer.step + 1, should_pause=lambda: True)
    return steps[-1].state.gradient_P.clone(), steps[-1].state.loss_sum.item() - before


@pytest.mark.parametrize("network", [MLP, UNET], ids=["mlp", "unet"])
@pytest.mark.parametrize("stratified", [True, False])
@pytest.mark.parametrize("micro_batch", [1, 3, 8])
def test_one_step_has_the_loss_and_the_gradient_of_the_whole_batch(
    steps, network: Network, stratified: bool, micro_batch: int
) -> None:
    config = replace(CONFIG, stratified=stratified)
    whole = begun(config, network, None)
    whole.train(20)  # at the start the network's output is 0
    saved = whole.state_dict()
    expected_P, expected = gradient_and_loss(whole, saved, steps)
    trainer = begun(config, network, micro_batch)
    found_P, found = gradient_and_loss(trainer, saved, steps)
    assert trainer.micro_batch == micro_batch
    assert found == pytest.approx(expected, rel=1e-5)
    assert (found_P - expected_P).norm() < 1e-5 * expected_P.norm()


def test_each_pass_has_at_most_a_micro_batch_of_images_and_all_images_get_one(passes: Passes) -> None:
    begun(CONFIG, MLP, 6).train(1)
    assert passes(NetworkModule) == [6, 6, 6, 6, 4, 4]  # teacher and student


@pytest.mark.parametrize("strategy", [Constant(), GradientNoiseScale()], ids=["constant", "halves"])
def test_a_trial_in_parts_ends_where_the_undivided_one_does(strategy: Constant | GradientNoiseScale) -> None:
    config = replace(CONFIG, optimizer_strategy=strategy)
    whole, parts = begun(config, MLP, None), begun(config, MLP, 4)
    losses = [whole.train(200), parts.train(200)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert weights(whole).norm() > 0.5
    torch.testing.assert_close(weights(parts), weights(whole), rtol=0.01, atol=0.01)
    torch.testing.assert_close(parts.sample(40, seed=1), whole.sample(40, seed=1), rtol=0.02, atol=0.02)


def test_the_measured_noise_of_the_gradient_is_that_of_the_halves_of_the_whole_batch() -> None:
    whole, parts = begun(HALVES, MLP, None), begun(HALVES, MLP, 3)
    assert (whole.micro_batch, parts.micro_batch) == (8, 3)
    for trainer in (whole, parts):
        trainer.train(1)
    found, expected = (trainer.state_dict()[0]["noise_2"] for trainer in (parts, whole))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)


def test_an_adaptive_trial_finds_the_same_schedule_in_parts() -> None:
    whole, parts = begun(CONFIG, MLP, None, ADAPTIVE), begun(CONFIG, MLP, 4, ADAPTIVE)
    probabilities = []
    for trainer in (whole, parts):
        trainer.train(40)
        assert trainer.found_schedule() != ADAPTIVE
        probabilities.append(trainer.found_schedule().stages(200)[-1].probability_M)
    torch.testing.assert_close(probabilities[1], probabilities[0], rtol=1e-3, atol=1e-6)


def test_samples_are_drawn_in_parts_as_small_and_are_the_same_images(passes: Passes) -> None:
    whole, parts = begun(CONFIG, MLP, None), begun(CONFIG, MLP, 4)
    whole.train(1)
    parts.load_state_dict(*whole.state_dict())
    before = len(passes(NetworkModule))
    torch.testing.assert_close(parts.sample(700, seed=1), whole.sample(700, seed=1))
    assert passes(NetworkModule)[before:] == [125, 125, 125, 125, 125, 75, 500, 200]


def test_a_checkpoint_goes_on_with_another_micro_batch() -> None:
    whole = begun(CONFIG, MLP, None)
    whole.train(100)
    saved = whole.state_dict()
    parts = begun(CONFIG, MLP, 8)
    parts.load_state_dict(*saved)
    losses = [whole.train(150), parts.train(150)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


@pytest.mark.parametrize(("given", "used"), [(None, 16), (64, 16), (16, 16), (5, 5)])
def test_a_micro_batch_is_never_larger_than_the_batch(given: int | None, used: int) -> None:
    assert begun(CONFIG, MLP, given).micro_batch == used


def test_the_next_trial_of_a_trainer_is_undivided_again() -> None:
    reused, fresh = begun(CONFIG, MLP, 4), begun(CONFIG, MLP, None)
    reused.train(10)
    reused.begin(ICT, 3)
    states: Sequence[dict[str, Tensor]] = []
    for trainer in (reused, fresh):
        trainer.train(20)
        states = [*states, trainer.state_dict()[0]]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[1])
