import torch
from torch import Tensor

from search.contracts._promise import Promise, documented, need, plain_data
from spaces.registry import required_options
from trainable.network import NETWORKS, Network, NetworkModule
from trainable.training.config import TrainingConfig
from trainable.training.network_probe import check_network

SHAPES = ((1, 8, 8), (3, 5, 7), (1, 28, 28))
_NUM = 4


def drawn(network: Network, seed: int, image_shape: tuple[int, int, int]) -> NetworkModule:
    """With the first weights of a seed."""
    module = network.build(image_shape)
    module.reset_parameters(torch.Generator().manual_seed(seed))
    return module


def batch(image_shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn((_NUM, *image_shape), generator=generator), torch.linspace(-1.55, 1.1, _NUM)


def of_every_shape(network: Network) -> list[tuple[int, int, int]]:
    """Those that it takes; Broken for none."""
    found = []
    for shape in SHAPES:
        try:
            network.build(shape)
        except ValueError:
            continue
        found.append(shape)
    need(found, f"takes none of {', '.join('x'.join(map(str, shape)) for shape in SHAPES)}")
    return found


def it_keeps_the_rules_of_training(name: str) -> None:
    network = NETWORKS.build(name)
    for shape in of_every_shape(network):
        check_network(network, shape, TrainingConfig(total_steps=2))


def weights_follow_from_the_generator_alone(name: str) -> None:
    network = NETWORKS.build(name)
    shape = of_every_shape(network)[0]
    first, again, other = (drawn(network, seed, shape) for seed in (5, 5, 6))
    first.reset_parameters(torch.Generator().manual_seed(5))  # drawing anew leaves nothing of the old
    need(_equal(first, again), "two of one seed differ")
    need(not _equal(again, other), "two of two seeds are equal")
    other.reset_parameters(torch.Generator().manual_seed(5))
    need(_equal(first, other), "reset_parameters leaves something of the old weights")


def _equal(one: NetworkModule, other: NetworkModule) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def every_weight_takes_part(name: str) -> None:
    network = NETWORKS.build(name)
    for shape in of_every_shape(network)[:1]:
        module = scrambled(network, shape)
        module(*batch(shape)).square().sum().backward()
        for parameter_name, parameter in module.named_parameters():
            need(parameter.grad is not None and parameter.grad.any(), f"{parameter_name} gets no gradient")


def scrambled(network: Network, image_shape: tuple[int, int, int]) -> NetworkModule:
    """With no weight at its first value, zeros included."""
    module = drawn(network, 0, image_shape)
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return module


def output_depends_on_the_noise_level(name: str) -> None:
    network = NETWORKS.build(name)
    for shape in of_every_shape(network)[:1]:
        module, (x_BCHW, c_noise_B) = scrambled(network, shape).eval(), batch(shape)
        same = torch.allclose(module(x_BCHW, c_noise_B), module(x_BCHW, c_noise_B + 0.5), atol=1e-3)
        need(not same, "gives the same at other noise levels")


def it_is_plain_data(name: str) -> None:
    documented(NETWORKS[name])
    needed = required_options(NETWORKS[name])
    need(not needed, f"{', '.join(needed)} need a default")
    plain_data(NETWORKS, NETWORKS.build(name))


PROMISES: tuple[Promise, ...] = (
    it_is_plain_data,
    it_keeps_the_rules_of_training,
    weights_follow_from_the_generator_alone,
    every_weight_takes_part,
    output_depends_on_the_noise_level,
)
