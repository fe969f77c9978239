"""Trials that are trained together give what each gives alone."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from spaces import CURRICULA, GAPS, LOSSES, NOISE, PRESETS, WEIGHTS, NoiseSchedule
from spaces.registry import Registry, name_of
from trainable.network import NETWORKS, Network
from trainable.optimizer_strategy import OPTIMIZER_STRATEGIES
from trainable.stack.networks import alone_because
from trainable.stack.stack import Stack
from trainable.training.config import TrainingConfig
from trainable.training.trainer import Trainer

IMAGES_NCHW = torch.randn(40, 1, 6, 6, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
ICT = PRESETS["ict"].schedule
FILM_MLP = NETWORKS.build({"name": "film_mlp", "width": 12, "depth": 2, "noise_width": 8})
MLP = NETWORKS.build({"name": "mlp", "width": 12})


def config(**options: Any) -> TrainingConfig:
    return TrainingConfig(**{"total_steps": 12, "batch_size": 16, **options})


def with_part(part: str, name: str) -> NoiseSchedule | None:
    """iCT's schedule with another part; None where the two do not go together."""
    document = {**ICT.to_dict(), part: {"name": name}}
    try:
        return NoiseSchedule.from_dict(document)
    except ValueError:
        return None


KINDS: dict[str, Registry[Any]] = {
    **{"noise": NOISE, "curriculum": CURRICULA, "gap": GAPS, "weight": WEIGHTS, "loss": LOSSES}
}
FAMILIES = {
    f"{part} {name}": schedule
    for part, registry in KINDS.items()
    for name in registry
    if (schedule := with_part(part, name)) is not None
} | {name: preset.schedule for name, preset in PRESETS.items()}
FAMILIES["gap constant_ratio"] = NoiseSchedule.continuous(
    NOISE.build("lognormal"), GAPS.build({"name": "constant_ratio", "q": 64.0})
)


def state(trainer: Trainer) -> dict[str, Tensor]:
    return trainer.state_dict()[0]


def alone(
    network: Network, schedule: NoiseSchedule, seed: int, steps: Sequence[int], training: TrainingConfig
) -> tuple[Trainer, list[float]]:
    trainer = Trainer(network, IMAGES_NCHW, training)
    trainer.begin(schedule, seed)
    return trainer, [trainer.train(step) for step in steps]


def assert_same(one: Trainer, other: Trainer) -> None:
    """Bit for bit: weights, averages, optimiser, losses, what adapts."""
    mine, theirs = state(one), state(other)
    assert mine.keys() == theirs.keys()
    different = [name for name in mine if not torch.equal(mine[name], theirs[name])]
    assert different == []
    assert one.state_dict()[1] == other.state_dict()[1]


def test_every_kind_of_choice_is_among_the_families() -> None:
    for part, registry in KINDS.items():
        used = {name_of(getattr(schedule, part)) for schedule in FAMILIES.values()}
        assert used >= set(registry.ours)


@pytest.mark.parametrize(("network", "together"), [(FILM_MLP, False), (MLP, True)], ids=["film_mlp", "mlp"])
def test_every_family_trains_in_a_stack_as_it_does_alone(network: Network, together: bool) -> None:
    training = config()
    schedules = list(FAMILIES.values())
    stack = Stack(network, IMAGES_NCHW, training, size=len(schedules), together=together)
    for place, schedule in enumerate(schedules):
        stack.trainer(place).begin(schedule, seed=place % 3)
    losses = [stack.train(dict.fromkeys(range(len(schedules)), step)) for step in (5, 12)]
    for place, (name, schedule) in enumerate(FAMILIES.items()):
        trainer, means = alone(network, schedule, place % 3, (5, 12), training)
        assert [each[place] for each in losses] == means, name
        assert_same(stack.trainer(place), trainer)
        assert torch.equal(stack.trainer(place).sample(4, seed=1), trainer.sample(4, seed=1))


@pytest.mark.parametrize("together", [False, True])
def test_trials_join_and_leave_and_stand_at_other_steps(together: bool) -> None:
    training = config()
    stack = Stack(FILM_MLP, IMAGES_NCHW, training, size=3, together=together)
    for place in (0, 1):
        stack.trainer(place).begin(ICT, seed=place)
    stack.train({0: 4, 1: 4})
    stack.trainer(2).begin(PRESETS["hang_gu_laplace"].schedule, seed=2)
    stack.train({0: 12, 1: 12, 2: 5})  # ends when the trial that is new is at step 5
    assert [stack.trainer(place).step for place in range(3)] == [9, 9, 5]
    stack.trainer(0).begin(PRESETS["ict_short"].schedule, seed=7)  # in the place of one that was stopped
    stack.train({0: 3, 2: 12})
    stack.train({0: 12, 1: 12, 2: 12})
    assert_same(stack.trainer(1), alone(FILM_MLP, ICT, 1, (4, 12), training)[0])
    refilled, _ = alone(FILM_MLP, PRESETS["ict_short"].schedule, 7, (3,), training)
    refilled.train(stack.trainer(0).step)
    for name in ("parameters_P", "ema_P", "m_P", "v_P"):
        assert torch.equal(state(stack.trainer(0))[name], state(refilled)[name])


def test_a_checkpoint_goes_from_a_stack_to_a_trial_alone_and_back() -> None:
    training = config()
    stack = Stack(MLP, IMAGES_NCHW, training, size=2)
    for place in (0, 1):
        stack.trainer(place).begin(ICT, seed=place)
    stack.train({0: 4, 1: 4})
    single = Trainer(MLP, IMAGES_NCHW, training)
    single.begin(ICT, seed=1)
    single.load_state_dict(*stack.trainer(1).state_dict())
    single.train(8)
    stack.trainer(0).begin(ICT, seed=1)
    stack.trainer(0).load_state_dict(*single.state_dict())
    stack.train({0: 12})
    assert_same(stack.trainer(0), alone(MLP, ICT, 1, (4, 8, 12), training)[0])


def test_a_trial_that_diverges_spoils_no_other() -> None:
    training = config(total_steps=60)
    stack = Stack(FILM_MLP, IMAGES_NCHW, training, size=3)
    for place in range(3):
        stack.trainer(place).begin(ICT, seed=place)
    stack.trainer(1).step_tensors.state.parameters_P[0] = math.nan
    losses = stack.train({0: 60, 1: 60, 2: 60})
    assert math.isnan(losses[1]) and stack.trainer(1).step == 50  # it is looked at every 50 steps
    assert math.isfinite(losses[0]) and math.isfinite(losses[2])
    stack.train({0: 60, 2: 60})
    for place in (0, 2):
        assert_same(stack.trainer(place), alone(FILM_MLP, ICT, place, (60,), training)[0])


@pytest.mark.parametrize(
    "options",
    [
        {"coupling": "nearest", "horizontal_flips": True},
        {"stratified": False, "ema_horizon": 0.0},
        *({"optimizer_strategy": OPTIMIZER_STRATEGIES.build(name)} for name in OPTIMIZER_STRATEGIES),
    ],
    ids=str,
)
def test_the_options_of_the_training_hold_in_a_stack(options: dict[str, Any]) -> None:
    training = config(**options)
    stack = Stack(FILM_MLP, IMAGES_NCHW, training, size=3, together=True)
    for place in range(3):
        stack.trainer(place).begin(ICT, seed=place)
    stack.train({0: 5, 2: 5})
    stack.train({0: 12, 1: 7, 2: 12})
    for place in (0, 2):
        assert_same(stack.trainer(place), alone(FILM_MLP, ICT, place, (5, 12), training)[0])


def test_a_batch_in_parts_is_in_parts_in_a_stack_too() -> None:
    stack = Stack(FILM_MLP, IMAGES_NCHW, config(), size=2)
    single = Trainer(FILM_MLP, IMAGES_NCHW, config())
    for trainer, seed in ((stack.trainer(0), 0), (stack.trainer(1), 1), (single, 1)):
        trainer.begin(ICT, seed, micro_batch=8)
    stack.train({0: 12, 1: 12})
    single.train(12)
    assert_same(stack.trainer(1), single)


def test_in_bf16_a_stack_is_within_rounding() -> None:
    training = config(precision="bf16")
    stack = Stack(FILM_MLP, IMAGES_NCHW, training, size=2)
    for place in (0, 1):
        stack.trainer(place).begin(ICT, seed=place)
    stack.train({0: 12, 1: 12})
    together, single = state(stack.trainer(1)), state(alone(FILM_MLP, ICT, 1, (12,), training)[0])
    # A step moves a weight by at most about the learning rate; of 12, rounding may turn the sign of some.
    assert float((together["ema_P"] - single["ema_P"]).abs().max()) < 4 * training.learning_rate


def test_what_vmap_runs_is_within_rounding_of_a_trial_alone() -> None:
    """Convolutions are other kernels there. On a GPU only: on a CPU they gain nothing, and are not stacked."""
    network = NETWORKS.build({"name": "small_unet", "channels": [8], "patch": 2})
    training = config(total_steps=6)
    stack = Stack(network, IMAGES_NCHW, training, size=3)
    for place in range(3):
        stack.trainer(place).begin(ICT, seed=place)
    stack.train({0: 3, 2: 3})
    stack.train({0: 6, 2: 6})
    together, single = state(stack.trainer(2)), state(alone(network, ICT, 2, (6,), training)[0])
    assert float((together["parameters_P"] - single["parameters_P"]).abs().max()) < 1e-4
    assert not torch.equal(together["parameters_P"], state(stack.trainer(0))["parameters_P"])


def test_a_network_that_says_of_itself_what_is_not_so_runs_alone() -> None:
    module = MLP.build((1, 6, 6))
    module.register_parameter("scale", torch.nn.Parameter(torch.ones(3)))
    assert alone_because(module, torch.device("cpu")) == "has other weights than those of linear layers"
    module.stacks = None
    assert alone_because(module, torch.device("cuda")) == "does not say that it can be stacked"


@pytest.mark.parametrize("name", sorted({*NETWORKS} - {"own", "diffusers_unet"}))
def test_only_what_a_network_says_and_the_device_is_good_for_is_stacked(name: str) -> None:
    module = NETWORKS.build(name).build((1, 8, 8))
    cpu, cuda = (alone_because(module, torch.device(kind)) for kind in ("cpu", "cuda"))
    if module.stacks == "layers":
        assert (cpu, cuda) == (None, None)
    else:
        assert cpu == "gains nothing from it on a CPU" and cuda is None
