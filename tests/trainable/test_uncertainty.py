"""A weight that is learned: what it converges to, what it starts as, what it keeps, what others do not pay."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import trainable.training.accumulation
from spaces import PRESETS, WEIGHTS, KarrasGrid, NoiseSchedule
from spaces.curricula.constant import Constant
from spaces.losses.squared_l2 import SquaredL2
from spaces.weights.edm import EDM
from spaces.weights.tabulated import Tabulated
from trainable.networks.film_mlp import FilmMlp
from trainable.optimizer_strategy import OPTIMIZER_STRATEGIES
from trainable.stack.stack import Stack
from trainable.training import uncertainty
from trainable.training.config import TrainingConfig
from trainable.training.trainer import Trainer

ICT = PRESETS["ict"].schedule
LEARNED = WEIGHTS["learned_uncertainty"]()
SCHEDULES = {
    "on a grid": replace(ICT, weight=LEARNED),
    "continuous": replace(PRESETS["ect"].schedule, weight=LEARNED, loss=SquaredL2()),
    "denoising": replace(PRESETS["edm"].schedule, weight=LEARNED),
}
every = pytest.mark.parametrize("name", list(SCHEDULES))
TINY = FilmMlp(width=8, depth=1, noise_features=4, noise_width=4)
NUM_VALUES = 16
X_NCHW = torch.rand((50, 1, 4, 4), generator=torch.Generator().manual_seed(11)) * 2 - 1
CONFIG = TrainingConfig(total_steps=40, batch_size=16)


def begun(schedule: NoiseSchedule, config: TrainingConfig = CONFIG, seed: int = 3) -> Trainer:
    result = Trainer(TINY, X_NCHW, config)
    result.begin(schedule, seed)
    return result


def u_of(trainer: Trainer, t_M: Tensor) -> Tensor:
    value_F = trainer.step_tensors.state.uncertainty_3F[0].double()
    return uncertainty.features(t_M.log() / 4) @ value_F


def test_at_fixed_expected_losses_u_comes_to_their_logarithm_and_the_weight_to_one_over_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The distance of an image at level t is |z| l(t), z one value of its noise, whatever is trained."""

    def expected(t: Tensor) -> Tensor:
        return 40 * (1 + t) ** 2 / (1 + (4 * t).sqrt())

    def loss(network, x_BCHW: Tensor, z_BCHW: Tensor, levels_BL: Tensor, loss_3: Tensor) -> Tensor:
        zero = 0 * network(x_BCHW, levels_BL[:, 4]).sum()  # the step wants a gradient
        distance_B = z_BCHW[:, 0, 0, 0].abs() * math.sqrt(math.pi / 2) * expected(levels_BL[:, 0])
        return levels_BL[:, -1] * distance_B + zero

    monkeypatch.setattr(trainable.training.accumulation, "consistency_loss", loss)
    grid = KarrasGrid(sigma_min=0.05, sigma_max=5.0)
    law = NoiseSchedule(grid=grid, noise=ICT.noise, curriculum=Constant(levels=33), weight=LEARNED)
    config = TrainingConfig(total_steps=3000, batch_size=128, lr_decay_start=0.0, lr_final_fraction=0.01)
    running = begun(law, config)
    running.train(3000)
    t_M = grid.sigmas(33)[1:]
    # u is the logarithm of what is weighed, edm's weight times distance / D. Eight waves cannot follow it to the ends.
    start_M = torch.from_numpy(EDM().of_pairs(t_M.numpy(), t_M.numpy(), 0.5))
    error_M = (u_of(running, t_M) - (start_M * expected(t_M) / NUM_VALUES).log()).abs()
    assert error_M[2:-2].max() < 0.06 and error_M.max() < 0.15
    found_M = running.found_schedule().weight.of_pairs(t_M.numpy(), t_M.numpy(), 0.5)
    assert (torch.from_numpy(found_M) * expected(t_M) - 1)[2:-2].abs().max() < 0.06


@every
def test_it_starts_as_the_plain_weight_over_the_number_of_values(name: str, steps) -> None:
    schedule = SCHEDULES[name]
    plain, learned = (begun(replace(schedule, weight=weight)) for weight in (EDM(), LEARNED))
    plain.train(1)
    learned.train(1)
    state, other = (trainer.step_tensors.state for trainer in (learned, plain))
    torch.testing.assert_close(state.gradient_P * NUM_VALUES, other.gradient_P, rtol=1e-5, atol=1e-6)
    assert float(state.loss_sum) == 0 == float(other.loss_sum)  # taken by `train`
    assert not state.uncertainty_3F[0].any() and state.uncertainty_3F[1].any()
    learned.train(5)
    assert not learned.step_tensors.state.uncertainty_3F[0].any()  # RAdam's plain steps
    learned.train(6)
    assert learned.step_tensors.state.uncertainty_3F[0].all()


@every
def test_its_gradient_is_that_of_what_is_minimised(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By autograd, through e^-u weight distance / D + u, on a batch of the second half of a trial."""
    plain_loss, seen = trainable.training.accumulation.consistency_loss, []

    def loss(network, x_BCHW: Tensor, z_BCHW: Tensor, levels_BL: Tensor, loss_3: Tensor) -> Tensor:
        loss_B = plain_loss(network, x_BCHW, z_BCHW, levels_BL, loss_3)
        seen.append((levels_BL, loss_B.detach()))
        return loss_B

    monkeypatch.setattr(trainable.training.accumulation, "consistency_loss", loss)
    running = begun(SCHEDULES[name])
    running.train(30)
    value_F, m_F, _ = running.step_tensors.state.uncertainty_3F.clone()
    minimised = running.train(31)
    levels_BL, weighed_B = seen[-1]
    u_B = uncertainty.features(levels_BL[:, 4]) @ value_F.requires_grad_()
    plain_B = weighed_B * u_B.detach().exp()
    mean = (u_B + (-u_B).exp() * plain_B).mean()
    mean.backward()
    assert minimised == pytest.approx(float(mean.detach()), rel=1e-5)
    gradient_F = (running.step_tensors.state.uncertainty_3F[1] - 0.9 * m_F) / 0.1
    torch.testing.assert_close(gradient_F, value_F.grad, rtol=1e-4, atol=1e-4)


@every
def test_interrupted_anywhere_it_goes_on_to_the_same_bits(name: str) -> None:
    whole = begun(SCHEDULES[name])
    whole.train(40)
    for step in (1, 7, 25):
        first, second = begun(SCHEDULES[name]), begun(SCHEDULES[name], seed=3)
        first.train(step)
        second.train(3)  # something else in its place
        second.begin(SCHEDULES[name], 3)
        second.load_state_dict(*first.state_dict())
        second.train(40)
        tensors, scalars = whole.state_dict()
        others, other_scalars = second.state_dict()
        assert scalars | {"loss_from_step": 0} == other_scalars | {"loss_from_step": 0}
        assert tensors.keys() == others.keys() and "uncertainty_3F" in tensors
        for key in tensors.keys() - {"loss_sum"}:
            assert torch.equal(tensors[key], others[key]), (step, key)
        assert whole.found_schedule() == second.found_schedule()


def test_a_checkpoint_without_it_is_refused() -> None:
    running = begun(SCHEDULES["on a grid"])
    tensors, scalars = running.state_dict()
    del tensors["uncertainty_3F"]
    with pytest.raises(ValueError, match=r"has no tensor 'uncertainty_3F' of shape \(3, 17\)"):
        running.load_state_dict(tensors, scalars)


def test_other_trials_of_the_same_trainer_are_as_ever() -> None:
    first, second = begun(ICT), begun(SCHEDULES["on a grid"])
    second.train(10)
    second.begin(ICT, 3)
    for trainer in (first, second):
        trainer.train(20)
    tensors, others = first.state_dict()[0], second.state_dict()[0]
    assert tensors.keys() == others.keys() and "uncertainty_3F" not in tensors
    assert all(torch.equal(tensors[key], others[key]) for key in tensors)


@every
def test_what_it_came_to_is_plain_numbers_that_train_as_it_would(name: str) -> None:
    running = begun(SCHEDULES[name])
    running.train(40)
    found = running.found_schedule()
    assert isinstance(found.weight, Tabulated) and not found.adapts
    assert NoiseSchedule.from_dict(found.to_dict()) == found
    state, _, levels, *_ = running.step_tensors
    num = len(found.pairs(found.stages(40)[-1], 0.5).t_M)
    rows_ML = levels.table_ML[:num].clone()
    uncertainty.weigh_(rows_ML, state.uncertainty_3F, NUM_VALUES)
    weight_M = torch.from_numpy(found.pairs(found.stages(40)[-1], 0.5).weight_M)
    torch.testing.assert_close(
        weight_M.float(), rows_ML[:, -1], rtol=0.01, atol=0
    )  # linear between 129 knots


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("strategy", list(OPTIMIZER_STRATEGIES))
def test_in_a_stack_it_is_as_alone(strategy: str, together: bool) -> None:
    options = {
        "optimizer_strategy": OPTIMIZER_STRATEGIES.build(strategy),
        "total_steps": 20,
        "batch_size": 16,
    }
    config = TrainingConfig(**options)
    network = FilmMlp(width=12, depth=2, noise_width=8)  # smaller products are others in a stack
    images_NCHW = torch.rand((50, 1, 6, 6), generator=torch.Generator().manual_seed(11)) * 2 - 1
    stack = Stack(network, images_NCHW, config, size=3, together=together)
    schedules = [SCHEDULES["on a grid"], ICT, SCHEDULES["continuous"]]
    for place, schedule in enumerate(schedules):
        stack.trainer(place).begin(schedule, place)
    stack.train({0: 9, 2: 9})
    stack.train({0: 20, 1: 11, 2: 20})
    for place in (0, 2):
        alone = Trainer(network, images_NCHW, config)
        alone.begin(schedules[place], place)
        losses = [alone.train(9), alone.train(20)]
        assert all(map(math.isfinite, losses))
        mine, theirs = alone.state_dict()[0], stack.trainer(place).state_dict()[0]
        different = [key for key in mine if not torch.equal(mine[key], theirs[key])]
        assert not different


@pytest.mark.parametrize("at", [-1e4, math.nan, math.inf])
def test_one_that_runs_away_has_diverged(at: float) -> None:
    """e^-u overflows, or u is no number: the loss is not finite, and training ends there."""
    running = begun(SCHEDULES["on a grid"], TrainingConfig(total_steps=200, batch_size=16))
    running.train(7)
    running.step_tensors.state.uncertainty_3F[0, 0] = at
    assert not math.isfinite(running.train(200))
    assert running.step == 50
