"""The training step and loop: exact resume, common random numbers, optimiser and average against references."""

import math
from dataclasses import dataclass, replace
from itertools import permutations

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import trainable.training.trainer
from spaces import CURRICULA, LOSSES, NOISE, PRESETS, WEIGHTS, KarrasGrid, NoiseSchedule
from spaces.losses.pseudo_huber import PseudoHuber
from trainable.network import Network, NetworkModule
from trainable.networks.film_mlp import FilmMlp
from trainable.networks.unet import Unet
from trainable.training.config import TrainingConfig
from trainable.training.ema import ema_weights
from trainable.training.flat_parameters import flatten_gradients, flatten_parameters
from trainable.training.radam import radam_, radam_factors
from trainable.training.step import stream_seed, training_step
from trainable.training.trainer import Trainer

ICT = PRESETS["ict"].schedule
TINY = FilmMlp(width=8, depth=1, noise_features=4, noise_width=4)
CONFIG = TrainingConfig(total_steps=200, batch_size=16)


def images(num: int = 50, shape: tuple[int, int, int] = (1, 4, 4)) -> Tensor:
    generator = torch.Generator().manual_seed(11)
    return torch.rand((num, *shape), generator=generator) * 2 - 1


def trainer(
    config: TrainingConfig = CONFIG, network: Network = TINY, x_NCHW: Tensor | None = None
) -> Trainer:
    return Trainer(network, images() if x_NCHW is None else x_NCHW, config)


def begun(schedule: NoiseSchedule = ICT, seed: int = 3, **kwargs) -> Trainer:
    result = trainer(**kwargs)
    result.begin(schedule, seed)
    return result


def assert_same_state(a: Trainer, b: Trainer) -> None:
    tensors_a, scalars_a = a.state_dict()
    tensors_b, scalars_b = b.state_dict()
    assert scalars_a == scalars_b
    assert tensors_a.keys() == tensors_b.keys()
    for name in tensors_a:
        assert torch.equal(tensors_a[name], tensors_b[name]), name
    assert torch.equal(a.sample(8, seed=1), b.sample(8, seed=1))


# --- resume, pause, reuse --------------------------------------------------------------------------------


def test_resume_in_a_new_trainer_equals_no_interruption_bit_for_bit():
    whole = begun()
    whole_loss = whole.train(200)
    first = begun()
    first.train(90, should_pause=lambda: first.step == 77)  # in the middle of a stage and of a rung
    tensors, scalars = first.state_dict()
    second = begun()
    second.load_state_dict(tensors, scalars)
    assert second.step == 77
    assert second.train(200) == whole_loss
    assert_same_state(whole, second)


def test_a_saved_state_does_not_change_with_further_training():
    running = begun()
    running.train(10)
    tensors, _ = running.state_dict()
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    running.train(20)
    assert all(torch.equal(tensors[name], before[name]) for name in tensors)


def test_pauses_show_neither_in_the_weights_nor_in_the_loss():
    whole, paused = begun(), begun()
    expected = [whole.train(100), whole.train(200)]
    asked = iter(range(1000))
    losses = []
    for rung in (100, 200):
        while paused.step < rung:
            loss = paused.train(rung, should_pause=lambda: next(asked) % 13 == 0)
        losses.append(loss)
    assert losses == expected
    assert_same_state(whole, paused)


@pytest.mark.parametrize("name", ["ect", "cmt"])
def test_a_schedule_without_a_grid_trains_and_resumes(name: str):
    schedule = PRESETS[name].schedule
    whole, first, second = begun(schedule), begun(schedule), begun(schedule)
    loss = whole.train(200)
    assert math.isfinite(loss)
    first.train(77)
    second.load_state_dict(*first.state_dict())
    second.train(200)
    assert torch.equal(second.state_dict()[0]["ema_P"], whole.state_dict()[0]["ema_P"])


@pytest.mark.parametrize(
    "later", [{"weight": "uniform"}, {"loss": "squared_l2"}, {"weight": "edm", "loss": "pseudo_huber"}]
)
def test_a_reused_trainer_trains_another_weight_and_loss_as_a_fresh_one(later: dict[str, str]):
    """Weight and loss are tensors of the step, set anew for each trial."""
    registries = {"weight": WEIGHTS, "loss": LOSSES}
    schedule = replace(ICT, **{part: registries[part].build(name) for part, name in later.items()})
    plain, fresh = begun(), begun(schedule)
    plain.train(60), fresh.train(60)
    reused = begun()
    reused.train(30)
    reused.begin(schedule, 3)
    reused.train(60)
    assert_same_state(reused, fresh)
    assert not torch.equal(plain.state_dict()[0]["parameters_P"], fresh.state_dict()[0]["parameters_P"])
    reused.begin(ICT, 3)
    reused.train(60)
    assert_same_state(reused, plain)


def test_the_loss_of_the_schedule_is_the_loss_of_the_training():
    """A constant of the schedule's own is the same as that of the training, whatever the training has."""
    own = begun(replace(ICT, loss=PseudoHuber(huber_c=0.01)))
    trained = begun(config=replace(CONFIG, huber_c=0.01))
    assert own.train(60) == trained.train(60)
    assert torch.equal(own.state_dict()[0]["ema_P"], trained.state_dict()[0]["ema_P"])


def test_a_reused_trainer_equals_a_fresh_one():
    reused = begun(PRESETS["gokmen_sinusoidal"].schedule, seed=8)
    reused.train(60)
    reused.begin(ICT, 3)
    reused.train(120)
    fresh = begun()
    fresh.train(120)
    assert_same_state(reused, fresh)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: begun(seed=4), "another trial: its seed is 3, not 4"),
        (lambda: begun(PRESETS["ict_short"].schedule), "another trial: its schedule is"),
        (lambda: begun(config=replace(CONFIG, learning_rate=1e-3)), "another trial: its setting is"),
        (lambda: begun(network=replace(TINY, width=9)), "another trial: its setting is"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(other, message: str):
    with pytest.raises(ValueError, match=message):
        other().load_state_dict(*begun().state_dict())


def test_an_incomplete_checkpoint_is_refused():
    tensors, scalars = begun().state_dict()
    del tensors["v_P"]
    with pytest.raises(ValueError, match="no tensor 'v_P'"):
        begun().load_state_dict(tensors, scalars)


# --- randomness ------------------------------------------------------------------------------------------


def test_global_random_state_is_neither_used_nor_changed():
    a = begun()
    torch.manual_seed(123)
    before = torch.random.get_rng_state()
    b = trainer()
    # Building a torch module draws default weights; the Trainer must hide that.
    assert torch.equal(torch.random.get_rng_state(), before)
    b.begin(ICT, 3)
    for each in (a, b):
        each.train(20)
        each.sample(4, seed=0)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert_same_state(a, b)


def test_trials_with_one_seed_see_the_same_images_and_noise_whatever_the_schedule(steps):
    a, b = begun(ICT), begun(PRESETS["gokmen_constant"].schedule)
    tensors_a, tensors_b = a.state_dict()[0], b.state_dict()[0]
    assert torch.equal(tensors_a["parameters_P"], tensors_b["parameters_P"])
    for until in (1, 37, 150):
        batches = []
        for each in (a, b):
            each.train(until)
            batches.append(steps[-1].batch)
        for name in ("x_BCHW", "z_BCHW", "u_B"):
            assert torch.equal(getattr(batches[0], name), getattr(batches[1], name))
    assert not torch.equal(a.state_dict()[0]["parameters_P"], b.state_dict()[0]["parameters_P"])


def test_another_seed_and_another_step_give_other_batches_and_weights(steps):
    a, b = begun(seed=3), begun(seed=4)
    assert not torch.equal(a.state_dict()[0]["parameters_P"], b.state_dict()[0]["parameters_P"])
    seen = []
    for each, until in ((a, 1), (a, 2), (b, 1)):
        each.train(until)
        seen.append(steps[-1].batch.z_BCHW.clone())
    assert not any(torch.equal(p, q) for i, p in enumerate(seen) for q in seen[:i])


def test_seeds_of_different_purposes_differ():
    seeds = {
        stream_seed(s, *key)
        for s in ("batch", "weights")
        for key in [(0,), (1,), (0, 1), (1, 0), (11, 1), (1, 11)]
    }
    assert len(seeds) == 12
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize("stratified", [True, False])
def test_level_quantiles_are_uniform_and_stratified_ones_hit_each_slice_once(steps, stratified: bool):
    config = replace(CONFIG, stratified=stratified, batch_size=64)
    running = begun(config=config)
    running.train(1)
    u_B = steps[-1].batch.u_B
    assert u_B.dtype == torch.float64
    assert ((u_B >= 0) & (u_B < 1)).all()
    slices = (u_B * 64).long().bincount(minlength=64)
    assert bool((slices == 1).all()) == stratified


def test_stratified_levels_are_not_tied_to_images(steps):
    running = begun(config=replace(CONFIG, batch_size=50), x_NCHW=torch.arange(50.0).view(50, 1, 1, 1) / 50)
    running.train(1)
    x_B, u_B = steps[-1].batch.x_BCHW.flatten(), steps[-1].batch.u_B
    # Correlation of 50 independent pairs has standard deviation 1/7: 6 sigma, twice in 1e9 (normal approximation).
    assert abs(torch.corrcoef(torch.stack([x_B.double(), u_B]))[0, 1]) < 6 / 7


# --- the step --------------------------------------------------------------------------------------------


class ForbidReading(TorchDispatchMode):
    """Raises where a tensor's value is read back into Python: `.item()`, `if tensor`, `float(tensor)`."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._local_scalar_dense.default:
            raise AssertionError("the training step reads a tensor's value")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("network", [TINY, Unet(channels=(4, 4), noise_width=4, attention=True)])
def test_the_step_reads_no_tensor_back(network: Network, monkeypatch: pytest.MonkeyPatch):
    watched = []

    def step(network, state, *rest) -> None:
        with ForbidReading():
            training_step(network, state, *rest)
        watched.append(state)

    monkeypatch.setattr(trainable.training.trainer, "training_step", step)
    begun(network=network).train(2)
    assert len(watched) == 2
    with pytest.raises(AssertionError), ForbidReading():
        watched[0].loss_sum.item()


def test_each_stage_trains_on_its_own_levels(steps):
    running = begun()
    stages = ICT.stages(200)
    assert len(stages) == 8
    for stage, following in zip(stages, [*stages[1:], None], strict=True):
        running.train(stage.start_step + 1)  # its first step
        num, levels = len(stage.probability_M), steps[-1].levels
        torch.testing.assert_close(levels.table_ML[:num, 0], stage.sigma_N[1:].float())
        assert levels.cdf_M.isfinite().sum() <= num - 1
        if following is not None:
            running.train(following.start_step)  # its last step
            torch.testing.assert_close(levels.table_ML[:num, 0], stage.sigma_N[1:].float())


@pytest.mark.parametrize(
    ("network", "config"),
    [
        (TINY, replace(CONFIG, precision="bf16")),
        (Unet(channels=(4, 8), noise_width=4, attention=True), CONFIG),
        (Unet(channels=(4, 8), noise_width=4), replace(CONFIG, precision="bf16")),
    ],
)
def test_other_networks_and_precisions_train(network: Network, config: TrainingConfig):
    running = begun(network=network, config=config)
    assert math.isfinite(running.train(5))
    samples = running.sample(3, seed=0)
    assert samples.shape == (3, 1, 4, 4)
    assert samples.dtype == torch.float32
    assert samples.isfinite().all()
    assert all(tensor.dtype in (torch.float32, torch.float64) for tensor in running.state_dict()[0].values())


def test_uint8_images_train_as_the_same_images_in_float():
    x_NCHW = torch.randint(
        0, 256, (50, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    a, b = begun(x_NCHW=x_NCHW), begun(x_NCHW=x_NCHW.float() / 127.5 - 1)
    assert a.train(20) == pytest.approx(b.train(20), rel=1e-6)


def test_flips_turn_half_of_the_images_and_change_nothing_else(steps):
    plain, flipping = CONFIG, replace(CONFIG, horizontal_flips=True)
    batches = []
    for config in (plain, flipping, flipping):
        running = begun(config=config)
        running.train(1)
        batches.append(replace(steps[-1].batch, x_BCHW=steps[-1].batch.x_BCHW.clone()))
    without, with_flips, again = batches
    same_B = (with_flips.x_BCHW == without.x_BCHW).all(dim=(1, 2, 3))
    assert torch.equal(with_flips.x_BCHW[~same_B], without.x_BCHW[~same_B].flip(3))
    assert 0 < same_B.sum() < len(same_B)
    assert torch.equal(with_flips.z_BCHW, without.z_BCHW)
    assert torch.equal(again.x_BCHW, with_flips.x_BCHW)


def test_nearest_noise_is_the_same_noise_in_the_order_of_least_distance(steps):
    batches = []
    for coupling in ("independent", "nearest", "nearest"):
        running = begun(config=replace(CONFIG, batch_size=6, coupling=coupling))
        running.train(1)
        batches.append(replace(steps[-1].batch, z_BCHW=steps[-1].batch.z_BCHW.clone()))
    without, near, again = batches
    assert torch.equal(near.z_BCHW, again.z_BCHW)
    assert torch.equal(near.x_BCHW, without.x_BCHW) and torch.equal(near.u_B, without.u_B)
    x_BD, z_BD = without.x_BCHW.flatten(1), without.z_BCHW.flatten(1)
    best = min(permutations(range(6)), key=lambda order: float((x_BD - z_BD[list(order)]).norm(dim=1).sum()))
    assert best != tuple(range(6))
    assert torch.equal(near.z_BCHW.flatten(1), z_BD[list(best)])


def test_a_checkpoint_of_before_the_coupling_was_an_option_is_gone_on_with():
    _, scalars = begun().state_dict()
    assert "coupling" not in scalars["setting"] and "horizontal_flips" not in scalars["setting"]
    _, coupled = begun(config=replace(CONFIG, coupling="nearest")).state_dict()
    assert '"coupling": "nearest"' in coupled["setting"]


def test_images_that_are_too_many_for_a_device_are_drawn_where_they_lie(steps, monkeypatch):
    begun().train(1)
    monkeypatch.setattr(trainable.training.trainer, "MOST_DEVICE_BYTES", 10)
    begun().train(1)
    assert torch.equal(steps[0].batch.x_BCHW, steps[1].batch.x_BCHW)


@dataclass(frozen=True, kw_only=True)
class _Exploding(Network):
    def build(self, image_shape: tuple[int, int, int]) -> NetworkModule:
        class Module(NetworkModule):
            def __init__(self) -> None:
                super().__init__()
                self.scale = nn.Parameter(torch.ones(()))

            def reset_parameters(self, generator: torch.Generator) -> None:
                with torch.no_grad():
                    self.scale.fill_(1)

            def forward(self, x_BCHW: Tensor, c_noise_B: Tensor) -> Tensor:
                return x_BCHW * self.scale * 1e38

        return Module()


def test_a_diverged_trial_ends_within_50_steps_and_the_next_one_is_not_affected():
    running = begun(network=_Exploding())
    assert not math.isfinite(running.train(200))
    assert running.step <= 50
    running.begin(ICT, 3)
    assert all(tensor.isfinite().all() for tensor in running.state_dict()[0].values())


@pytest.mark.parametrize("until_step", [-1, 9, 201])
def test_until_step_must_lie_between_the_step_and_the_budget(until_step: int):
    running = begun()
    running.train(10)
    with pytest.raises(ValueError, match="`step <= until_step <= total_steps` must hold"):
        running.train(until_step)


def test_samples_do_not_depend_on_how_many_are_drawn_after_them_nor_change_the_trial():
    running = begun()
    running.train(10)
    before = running.state_dict()[0]
    few, many = running.sample(500, seed=2), running.sample(700, seed=2)
    assert torch.equal(few, many[:500])
    assert not torch.equal(few, running.sample(500, seed=3))
    assert not torch.equal(few, running.sample(500, seed=2, sigmas=[0.8]))
    assert all(torch.equal(before[name], tensor) for name, tensor in running.state_dict()[0].items())


# --- optimiser, learning rate, average, flat parameters ---------------------------------------------------


def test_radam_equals_torchs_through_the_change_of_form():
    config = TrainingConfig(total_steps=60, learning_rate=0.01)
    adaptive_K, plain_K = radam_factors(config.learning_rates())
    assert ((adaptive_K == 0) == (plain_K != 0)).all()
    assert (plain_K != 0).sum() == 5
    generator = torch.Generator().manual_seed(0)
    start_P, target_P = torch.randn((2, 7), generator=generator, dtype=torch.float64)
    ours_P, m_P, v_P = (
        start_P.clone(),
        torch.zeros(7, dtype=torch.float64),
        torch.zeros(7, dtype=torch.float64),
    )
    theirs = nn.Parameter(start_P.clone())
    optimizer = torch.optim.RAdam([theirs], lr=config.learning_rate)
    rates_K = config.learning_rates()
    for k in range(60):
        optimizer.param_groups[0]["lr"] = rates_K[k].item()
        theirs.grad = (theirs.detach() - target_P) ** 3
        optimizer.step()
        radam_(ours_P, (ours_P - target_P) ** 3, m_P, v_P, adaptive_K[k], plain_K[k])
        torch.testing.assert_close(ours_P, theirs.detach(), rtol=1e-12, atol=1e-12)


def test_learning_rate_is_constant_then_linear():
    rate_K = TrainingConfig(
        total_steps=100, learning_rate=1e-2, lr_decay_start=0.6, lr_final_fraction=0.2
    ).learning_rates()
    assert rate_K[:61].tolist() == [1e-2] * 61
    assert rate_K[80].item() == pytest.approx(1e-2 * 0.6)
    torch.testing.assert_close(rate_K[60:].diff(), torch.full((39,), -1e-2 * 0.8 / 40, dtype=torch.float64))
    assert TrainingConfig(total_steps=10, lr_decay_start=1.0).learning_rates().tolist() == [3e-3] * 10


@pytest.mark.parametrize("horizon", [0.1, 0.3, 1.0])
def test_average_has_the_power_function_profile(horizon: float):
    weight_K = ema_weights(1000, horizon)
    share_K = torch.zeros(1000, dtype=torch.float64)
    for k in range(1000):
        share_K.mul_(1 - weight_K[k])
        share_K[k] += weight_K[k]
    assert share_K.sum().item() == pytest.approx(1)
    # Share of step s is (s/K)^(1/h) - ((s-1)/K)^(1/h): the power profile, integrated over the step.
    edges = torch.linspace(0, 1, 1001, dtype=torch.float64) ** (1 / horizon)
    torch.testing.assert_close(share_K, edges.diff(), rtol=1e-6, atol=1e-15)
    mean_age = (share_K * torch.arange(1000).flip(0)).sum().item()
    assert mean_age == pytest.approx(1000 * horizon / (1 + horizon), rel=0.02)


def test_horizon_zero_samples_from_the_current_weights():
    running = begun(config=replace(CONFIG, ema_horizon=0.0))
    running.train(30)
    tensors, _ = running.state_dict()
    assert torch.equal(tensors["ema_P"], tensors["parameters_P"])


@pytest.mark.parametrize("channels_last", [False, True])
def test_flat_parameters_and_gradients_are_the_modules_own(channels_last: bool):
    generator = torch.Generator().manual_seed(0)
    plain, flat = (Unet(channels=(4, 8), noise_width=4).build((1, 8, 8)) for _ in range(2))
    for module in (plain, flat):
        module.reset_parameters(generator.manual_seed(1))
        with torch.no_grad():
            module.image_out.weight.fill_(0.1)
    flat_P = flatten_parameters(flat, torch.device("cpu"), channels_last)
    gradient_P = flatten_gradients(flat, channels_last)
    x_BCHW, c_noise_B = torch.randn((2, 1, 8, 8), generator=generator), torch.zeros(2)
    for module in (plain, flat):
        module(x_BCHW, c_noise_B).square().sum().backward()
    for p, q in zip(plain.parameters(), flat.parameters(), strict=True):
        assert torch.equal(p, q)
        assert p.grad is not None
        assert q.grad is not None
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-4, atol=1e-4)
    assert gradient_P.norm() == pytest.approx(
        math.sqrt(sum(p.grad.square().sum().item() for p in plain.parameters() if p.grad is not None)),
        rel=1e-4,
    )
    flat_P.zero_()
    assert not any(p.any() for p in flat.parameters())


# --- configuration ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"total_steps": 0}, "`1 <= total_steps"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0"),
        ({"learning_rate": math.nan}, "learning_rate=nan"),
        ({"ema_horizon": 1.5}, "ema_horizon=1.5"),
        ({"lr_decay_start": 1.0, "lr_final_fraction": 0.5}, "has no effect"),
        (
            {"coupling": "nearest", "batch_size": 1025},
            "`batch_size <= 1024` must hold with coupling='nearest'",
        ),
    ],
)
def test_impossible_configurations_are_refused(fields: dict, message: str):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**fields)


def test_a_cuda_graph_needs_cuda():
    with pytest.raises(ValueError, match="`cuda_graph` needs a CUDA device"):
        trainer(config=replace(CONFIG, cuda_graph=True))


# --- known answer, end to end ------------------------------------------------------------------------------

MU, S = 0.2, 0.5


@dataclass(frozen=True, kw_only=True)
class _PerLevel(Network):
    """F = A(sigma) x + B(sigma) with a free pair (A, B) at each level of a known grid."""

    num_levels: int

    def build(self, image_shape: tuple[int, int, int]) -> NetworkModule:
        num_levels = self.num_levels

        class Module(NetworkModule):
            def __init__(self) -> None:
                super().__init__()
                self.table_N2 = nn.Parameter(torch.zeros(num_levels, 2))
                c_noise = KarrasGrid().sigmas(num_levels).log() / 4
                self.register_buffer("edges", ((c_noise[1:] + c_noise[:-1]) / 2).float(), persistent=False)

            def reset_parameters(self, generator: torch.Generator) -> None:
                with torch.no_grad():
                    self.table_N2.zero_()

            def forward(self, x_BCHW: Tensor, c_noise_B: Tensor) -> Tensor:
                pair_B2 = self.table_N2[torch.bucketize(c_noise_B.contiguous(), self.edges)]
                return pair_B2[:, 0, None, None, None] * x_BCHW + pair_B2[:, 1, None, None, None]

        return Module()


def test_training_on_gaussian_data_finds_its_consistency_function():
    """Data N(mu, s^2 I): trained samples have the mean and spread that the loss's minimiser gives them."""
    num_levels = 11
    generator = torch.Generator().manual_seed(0)
    x_NCHW = MU + S * torch.randn((20_000, 1, 4, 4), generator=generator)
    schedule = NoiseSchedule(
        grid=KarrasGrid(),
        noise=NOISE.build("uniform"),
        curriculum=CURRICULA.build({"name": "constant", "levels": num_levels}),
    )
    config = TrainingConfig(total_steps=1500, learning_rate=2e-2, lr_decay_start=0.2)
    running = begun(schedule, seed=0, config=config, network=_PerLevel(num_levels=num_levels), x_NCHW=x_NCHW)
    running.train(1500)
    samples = running.sample(4000, seed=0).double()
    # f(x, sigma_max) = mu + a (x - mu), x = sigma_max z; a by the recursion in test_consistency.
    sigma_N = KarrasGrid().sigmas(num_levels)
    a = ((S**2 + sigma_N[:-1] * sigma_N[1:]) / (S**2 + sigma_N[1:] ** 2)).prod().item()
    # Standard errors of mean and spread: 20,000 images .0009 and .0006, 4,000 samples .0015 and .0011, training
    # (6 seeds) .0006 and .0008; together .0018 and .0015. At 6 sigma a right trainer fails twice in 1e9.
    assert samples.mean().item() == pytest.approx(MU * (1 - a), abs=6 * 0.0018)
    assert samples.std().item() == pytest.approx(80 * a, abs=6 * 0.0015)
