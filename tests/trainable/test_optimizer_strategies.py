"""The contract of every file in `trainable/optimizer_strategies/`, and what is special to each."""

import inspect
import json
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import trainable.training.accumulation
import trainable.training.trainer
from search.contracts._promise import Promise
from search.contracts.optimizer_strategies import PROMISES
from spaces import PRESETS
from spaces.registry import validated
from trainable.network import Network
from trainable.networks.film_mlp import FilmMlp
from trainable.networks.unet import Unet
from trainable.optimizer_strategies.constant import Constant
from trainable.optimizer_strategies.gradient_noise_scale import GradientNoiseScale
from trainable.optimizer_strategies.momentum_decay import MomentumDecay
from trainable.optimizer_strategy import OPTIMIZER_STRATEGIES, OptimizerStrategy
from trainable.training.config import TrainingConfig
from trainable.training.radam import BETA2, EPSILON, radam_, radam_factors
from trainable.training.step import training_step
from trainable.training.trainer import Trainer

ICT = PRESETS["ict"].schedule
TINY = FilmMlp(width=8, depth=1, noise_features=4, noise_width=4)
CONFIG = TrainingConfig(total_steps=100, batch_size=16)

every_strategy = pytest.mark.parametrize("name", list(OPTIMIZER_STRATEGIES))


def config_of(strategy: OptimizerStrategy | str) -> TrainingConfig:
    if isinstance(strategy, str):
        strategy = OPTIMIZER_STRATEGIES.build(strategy)
    return replace(CONFIG, optimizer_strategy=strategy)


def begun(strategy: OptimizerStrategy | str, seed: int = 3, network: Network = TINY) -> Trainer:
    x_NCHW = torch.rand((50, 1, 4, 4), generator=torch.Generator().manual_seed(11)) * 2 - 1
    result = Trainer(network, x_NCHW, config_of(strategy))
    result.begin(ICT, seed)
    return result


# --- contract --------------------------------------------------------------------------------------------


@every_strategy
@pytest.mark.parametrize("promise", PROMISES)
def test_a_strategy_keeps_what_strategies_keep(name: str, promise: Promise) -> None:
    promise(name)


@every_strategy
def test_factors_are_finite_positive_and_momentum_below_1(name: str) -> None:
    strategy = OPTIMIZER_STRATEGIES[name]()
    for num_steps in (1, 7, 2000):
        beta1_K, factor_K = strategy.beta1(num_steps), strategy.learning_rate_factor(num_steps)
        for values_K in (beta1_K, factor_K):
            assert values_K is None or (values_K.dtype, values_K.shape) == (torch.float64, (num_steps,))
        assert beta1_K is None or bool(((beta1_K >= 0) & (beta1_K < 1)).all())
        assert factor_K is None or bool(((factor_K > 0) & factor_K.isfinite()).all())
        factors_KF = replace(config_of(name), total_steps=num_steps).factors()
        assert factors_KF.isfinite().all()
        assert (factors_KF >= 0).all()


@every_strategy
def test_a_reused_trainer_equals_a_fresh_one(name: str) -> None:
    reused, fresh = begun(name, seed=8), begun(name)
    reused.train(60)
    reused.begin(ICT, 3)
    for each in (reused, fresh):
        each.train(50)
    for key, tensor in fresh.state_dict()[0].items():
        assert torch.equal(tensor, reused.state_dict()[0][key]), key


class ForbidReading(TorchDispatchMode):
    """Raises where a tensor's value is read back into Python."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func is not torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@every_strategy
def test_the_step_reads_no_tensor_back_and_keeps_its_state_in_place(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = []

    def step(network, state, *rest) -> None:
        with ForbidReading():
            training_step(network, state, *rest)
        places.append({key: tensor.data_ptr() for key, tensor in state.saved().items()})

    monkeypatch.setattr(trainable.training.trainer, "training_step", step)
    begun(name).train(3)
    assert len(places) == 3
    assert places[0] == places[1] == places[2]


@every_strategy
def test_it_is_plain_data_in_a_search_file_and_documented(name: str) -> None:
    cls = OPTIMIZER_STRATEGIES[name]
    assert (inspect.getdoc(cls) or "").partition("\n")[0].endswith(".")
    config = config_of(name)
    plain = json.loads(json.dumps(config.to_dict()))
    assert plain["optimizer_strategy"]["name"] == name
    assert validated(TrainingConfig, plain) == config
    assert validated(TrainingConfig, {"optimizer_strategy": name}).optimizer_strategy == cls()
    for option, (low, high) in cls.BOUNDS.items():
        for outside in (low - 1, high + 1, math.nan):
            with pytest.raises(ValueError, match=f"{option}="):
                cls(**{option: outside})


def test_checkpoints_of_another_strategy_are_refused() -> None:
    with pytest.raises(ValueError, match="another trial: its setting is"):
        begun("momentum_decay").load_state_dict(*begun("constant").state_dict())


def test_constant_is_the_default_and_needs_three_factors_only() -> None:
    assert TrainingConfig().optimizer_strategy == Constant()
    assert TrainingConfig(total_steps=10).factors().shape == (10, 3)


# --- momentum decay --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("compensation", "ends"), [("lower", (1.0, 0.1)), ("raise", (1.0, 10.0)), ("none", (1.0, 1.0))]
)
def test_momentum_falls_from_b0_to_0_and_the_rate_is_compensated(
    compensation: str, ends: tuple[float, float]
) -> None:
    strategy = MomentumDecay(compensation=compensation)  # type: ignore[arg-type]
    num_steps = 10_000
    beta1_K = strategy.beta1(num_steps)
    assert beta1_K[0].item() == pytest.approx(0.9)
    assert beta1_K[num_steps // 2].item() == pytest.approx(0.9 * 0.5 / (0.1 + 0.9 * 0.5))
    assert beta1_K[-1].item() == pytest.approx(0, abs=1e-3)
    assert (beta1_K.diff() < 0).all()
    factor_K = strategy.learning_rate_factor(num_steps)
    measured = (1.0, 1.0) if factor_K is None else (factor_K[0].item(), factor_K[-1].item())
    assert measured == pytest.approx(ends, rel=1e-2)


def test_raising_keeps_the_length_of_a_step_of_plain_momentum() -> None:
    strategy = MomentumDecay(b0=0.8, compensation="raise")
    factor_K = strategy.learning_rate_factor(50)
    assert factor_K is not None
    torch.testing.assert_close(factor_K / (1 - strategy.beta1(50)), torch.full_like(factor_K, 1 / 0.2))


def reference_radam(
    gradients: list[Tensor], beta1_K: Tensor, rate_K: Tensor, start_P: Tensor
) -> list[Tensor]:
    """RAdam from its definition: m as the explicit weighted sum of all gradients, weights that add up to 1."""
    position, positions = start_P.clone(), []
    rho_inf = 2 / (1 - BETA2) - 1
    for t in range(1, len(gradients) + 1):
        share_T = torch.stack([(1 - beta1_K[s]) * beta1_K[s + 1 : t].prod() for s in range(t)])
        m_hat = sum(w * g for w, g in zip(share_T / share_T.sum(), gradients, strict=False))
        v = sum((1 - BETA2) * BETA2 ** (t - 1 - s) * gradients[s] ** 2 for s in range(t))
        rho = rho_inf - 2 * t * BETA2**t / (1 - BETA2**t)
        if rho > 5:
            r = math.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
            step = r * m_hat * math.sqrt(1 - BETA2**t) / (v.sqrt() + EPSILON)
        else:
            step = m_hat
        position = position - rate_K[t - 1] * step
        positions.append(position)
    return positions


def test_radam_with_falling_momentum_equals_its_definition() -> None:
    num_steps = 40
    generator = torch.Generator().manual_seed(0)
    gradients = list(torch.randn((num_steps, 5), generator=generator, dtype=torch.float64))
    start_P = torch.randn(5, generator=generator, dtype=torch.float64)
    beta1_K = MomentumDecay().beta1(num_steps)
    rate_K = TrainingConfig(total_steps=num_steps, learning_rate=0.01).learning_rates()
    adaptive_K, plain_K = radam_factors(rate_K, beta1_K)
    assert (plain_K != 0).sum() == 5
    ours_P, m_P, v_P = start_P.clone(), torch.zeros_like(start_P), torch.zeros_like(start_P)
    for k, expected_P in enumerate(reference_radam(gradients, beta1_K, rate_K, start_P)):
        radam_(ours_P, gradients[k], m_P, v_P, adaptive_K[k], plain_K[k], 1 - beta1_K[k])
        torch.testing.assert_close(ours_P, expected_P, rtol=1e-12, atol=1e-12)


def test_a_constant_momentum_given_step_by_step_changes_nothing() -> None:
    rate_K = torch.full((30,), 0.01, dtype=torch.float64)
    given = radam_factors(rate_K, torch.full((30,), 0.9, dtype=torch.float64))
    for one, other in zip(given, radam_factors(rate_K), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=0)


def test_the_strategys_factors_reach_the_step() -> None:
    strategy = MomentumDecay(compensation="lower")
    factors_KF = config_of(strategy).factors()
    torch.testing.assert_close(factors_KF[:, 3], 1 - strategy.beta1(100))
    rate_factor_K = strategy.learning_rate_factor(100)
    assert rate_factor_K is not None
    expected = radam_factors(CONFIG.learning_rates() * rate_factor_K, strategy.beta1(100))
    torch.testing.assert_close(factors_KF[:, :2], torch.stack(expected, dim=1))


# --- gradient noise scale --------------------------------------------------------------------------------


def test_estimates_are_the_published_ones_of_two_batch_sizes() -> None:
    """|G|^2 = (B|G_B|^2 - b|G_b|^2)/(B - b), tr Sigma = (|G_b|^2 - |G_B|^2)/(1/b - 1/B), b = B/2."""
    batch_size, small = 64, 32
    g_P, h_P = torch.randn((2, 9), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    both_P = (g_P + h_P) / 2
    large2, small2 = both_P.square().sum(), (g_P.square().sum() + h_P.square().sum()) / 2
    noise_2 = torch.zeros(2, dtype=torch.float64)
    GradientNoiseScale(memory=1).measured_factor(noise_2, both_P, g_P / 2, batch_size)
    trace, squared_norm = noise_2.tolist()
    assert trace == pytest.approx(((small2 - large2) / (1 / small - 1 / batch_size)).item())
    expected = (batch_size * large2 - small * small2) / (batch_size - small)
    assert squared_norm == pytest.approx(expected.item())


@pytest.mark.parametrize(("batch_size", "share"), [(8, 0.87), (128, 0.999)])
def test_halves_of_a_stratified_batch_make_the_gradient_look_smaller(batch_size: int, share: float) -> None:
    """By a quarter of the square of what their expected gradients differ by; here the gradient is e^(6u)."""
    u_B1 = torch.arange(batch_size + 1, dtype=torch.float64) / batch_size
    expected_B = (6 * u_B1).exp().diff() * batch_size / 6  # in each slice
    half, other = expected_B[0::2].mean(), expected_B[1::2].mean()
    true = (half + other) / 2
    assert (half * other).item() == pytest.approx((true**2 - (half - other) ** 2 / 4).item())
    assert (half * other / true**2).item() == pytest.approx(share, abs=0.002)


def test_on_a_quadratic_with_known_noise_the_rate_is_the_known_one() -> None:
    """Gradients of one image x (at w: A w) + noise of covariance s^2 I: tr Sigma = P s^2, |G|^2 = |A w|^2."""
    num_parameters, batch_size, s, num_steps = 20, 8, 1.5, 4000
    generator = torch.Generator().manual_seed(1)
    gradient_P = torch.linspace(0.5, 2.0, num_parameters, dtype=torch.float64)
    strategy = GradientNoiseScale(memory=1000, lowest=0.0)
    noise_2 = torch.zeros(2, dtype=torch.float64)
    for _ in range(num_steps):
        noise_2P = torch.randn((2, num_parameters), generator=generator, dtype=torch.float64)
        g_P, h_P = gradient_P + noise_2P * s / math.sqrt(batch_size / 2)
        factor = strategy.measured_factor(noise_2, (g_P + h_P) / 2, g_P / 2, batch_size)
    weight = 1 - (1 - 1 / 1000) ** num_steps  # of all steps in an average that began at 0
    trace, squared_norm = num_parameters * s**2, gradient_P.square().sum().item()
    # An average with memory 1000 is worth 2000 independent steps. One step's tr Sigma is tr Sigma times a mean of P
    # squares of N(0, 1), and its |G|^2 = g.h has the variance 2 v |G|^2 + P v^2, v = s^2/b. 6 sigma each.
    v = s**2 / (batch_size / 2)
    assert noise_2[0].item() / weight == pytest.approx(trace, rel=6 * math.sqrt(2 / num_parameters / 2000))
    deviation = math.sqrt((2 * v * squared_norm + num_parameters * v**2) / 2000)
    assert noise_2[1].item() / weight == pytest.approx(squared_norm, abs=6 * deviation)
    expected = 1 / (1 + trace / squared_norm / batch_size)
    assert factor.item() == pytest.approx(expected, abs=0.03)


def test_no_noise_gives_the_full_rate_and_nothing_but_noise_the_lowest() -> None:
    strategy = GradientNoiseScale(memory=10, lowest=0.05)
    g_P = torch.ones(6)
    assert strategy.measured_factor(torch.zeros(2).double(), g_P, g_P / 2, 16).item() == 1
    opposed = strategy.measured_factor(torch.zeros(2).double(), 0 * g_P, g_P / 2, 16)
    assert opposed.item() == pytest.approx(0.05)
    assert strategy.measured_factor(torch.zeros(2).double(), 0 * g_P, 0 * g_P, 16).item() == 1


@pytest.mark.parametrize("network", [TINY, Unet(channels=(4, 8), noise_width=4)])
def test_the_halves_add_up_to_the_gradient_of_the_batch(steps, network: Network) -> None:
    losses = []
    for name in ("constant", "gradient_noise_scale"):
        running = begun(name, network=network)
        tensors, scalars = running.state_dict()
        noise_P = torch.randn(tensors["parameters_P"].shape, generator=torch.Generator().manual_seed(2))
        tensors["parameters_P"] += 0.1 * noise_P  # at the start the network's output is 0
        running.load_state_dict(tensors, scalars)
        losses.append(running.train(1))
    whole, halves = (step.state for step in steps)
    torch.testing.assert_close(halves.gradient_P, whole.gradient_P, rtol=1e-4, atol=1e-4)
    other_P = halves.gradient_P - halves.half_P
    assert (halves.half_P - other_P).norm() > 0.01 * other_P.norm()  # they are two halves, not one
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_each_half_of_a_stratified_batch_has_levels_from_all_of_the_range(
    monkeypatch: pytest.MonkeyPatch, steps
) -> None:
    seen: list[Tensor] = []
    loss = trainable.training.accumulation.consistency_loss

    def spy(network, x_BCHW: Tensor, z_BCHW: Tensor, levels_BL: Tensor, loss_3: Tensor) -> Tensor:
        seen.append(levels_BL)
        return loss(network, x_BCHW, z_BCHW, levels_BL, loss_3)

    monkeypatch.setattr(trainable.training.accumulation, "consistency_loss", spy)
    begun("gradient_noise_scale").train(1)
    (step,) = steps
    table_ML, draw = step.levels.table_ML, step.levels.draw
    for levels_BL, u_B in zip(seen, (step.batch.u_B[0::2], step.batch.u_B[1::2]), strict=True):
        assert (u_B * 8).long().tolist() == list(range(8))  # one of each eighth of the distribution
        assert torch.equal(levels_BL, table_ML[draw(u_B.contiguous())])


def test_the_measured_rate_slows_training_down() -> None:
    """The step is that of RAdam times the factor: with the first, plain steps it can be read off the weights."""
    slow, fast = begun(GradientNoiseScale(memory=1)), begun("constant")
    for each in (slow, fast):
        before, _ = each.state_dict()
        each.train(1)
        after, _ = each.state_dict()
        moved = (after["parameters_P"] - before["parameters_P"]).norm().item()
        if each is slow:
            trace, squared_norm = after["noise_2"].tolist()
            factor = max(squared_norm, 0) / (max(squared_norm, 0) + trace / 16)
            slow_moved = moved
    assert factor < 1
    assert slow_moved == pytest.approx(factor * moved, rel=1e-3)


def test_an_odd_batch_has_no_halves() -> None:
    with pytest.raises(ValueError, match="`batch_size` must be even, but got batch_size=15"):
        replace(config_of("gradient_noise_scale"), batch_size=15)
    replace(config_of("constant"), batch_size=15)
