"""The contract of every file in `trainable/networks/`, and what is special to each."""

import math
import sys

import pytest
import torch
from torch import Tensor, nn

from search.contracts._promise import Promise
from search.contracts.networks import PROMISES
from trainable.network import NETWORKS, Network, NetworkModule, NoiseFeatures
from trainable.networks.film_mlp import FilmMlp
from trainable.networks.mlp import Mlp
from trainable.networks.unet import Unet

# Small variants of the defaults, for speed. A network that is not named here is tested as it is.
SMALL: dict[str, dict[str, object]] = {
    "film_mlp": {"width": 16, "depth": 2},
    "mlp": {"width": 16, "depth": 2},
    "unet": {"channels": [8, 12], "blocks": 1, "attention": True, "noise_width": 8},
    "small_unet": {"channels": [8, 12], "attention": True, "noise_width": 8},
}
IMAGE_SHAPE = (1, 8, 8)

# `own` is whatever its file has: test_own_network.py. `diffusers_unet` needs an extra: tests/conformance.
HELD_ELSEWHERE = ("own", "diffusers_unet")
every_network = pytest.mark.parametrize("name", [name for name in NETWORKS if name not in HELD_ELSEWHERE])


def options(name: str) -> Network:
    return NETWORKS.build({"name": name, **SMALL.get(name, {})})


def drawn(name: str, seed: int = 0, image_shape: tuple[int, int, int] = IMAGE_SHAPE) -> NetworkModule:
    module = options(name).build(image_shape)
    module.reset_parameters(torch.Generator().manual_seed(seed))
    return module


def scrambled(name: str) -> NetworkModule:
    """With no weight at its initial value, zeros included."""
    module = drawn(name)
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return module


def batch(image_shape: tuple[int, int, int] = IMAGE_SHAPE, num: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn((num, *image_shape), generator=generator), torch.linspace(-1.55, 1.1, num)


@every_network
@pytest.mark.parametrize("promise", PROMISES)
def test_a_network_keeps_what_networks_keep(name: str, promise: Promise):
    promise(name)


@every_network
@pytest.mark.parametrize("image_shape", [(1, 8, 8), (3, 5, 7), (1, 28, 28)])
def test_output_has_the_shape_of_the_image(name: str, image_shape: tuple[int, int, int]):
    out = drawn(name, image_shape=image_shape)(*batch(image_shape))
    assert out.shape == (4, *image_shape)
    assert out.dtype == torch.float32
    assert out.isfinite().all()


@every_network
def test_all_state_is_parameters(name: str):
    module = drawn(name)
    assert set(module.state_dict()) == {name for name, _ in module.named_parameters()}
    assert not any(
        isinstance(part, nn.Dropout | nn.modules.batchnorm._BatchNorm) for part in module.modules()
    )


@every_network
def test_training_starts_from_zero_output(name: str):
    assert not drawn(name)(*batch()).any()


@every_network
def test_every_weight_takes_part(name: str):
    module = scrambled(name)
    module(*batch()).square().sum().backward()
    for parameter_name, parameter in module.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.any(), parameter_name


@every_network
def test_images_of_a_batch_do_not_see_each_other(name: str):
    module = scrambled(name)
    x_BCHW, c_noise_B = batch()
    together = module(x_BCHW, c_noise_B)
    alone = torch.cat([module(x_BCHW[i : i + 1], c_noise_B[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@every_network
def test_output_depends_on_the_noise_level(name: str):
    module = scrambled(name)
    x_BCHW, c_noise_B = batch()
    assert not torch.allclose(module(x_BCHW, c_noise_B), module(x_BCHW, c_noise_B + 0.5), atol=1e-3)


@every_network
def test_options_round_trip_and_unknown_ones_are_refused(name: str):
    assert NETWORKS.build(NETWORKS.describe(options(name))) == options(name)
    with pytest.raises(ValueError, match="no_such_option"):
        NETWORKS.build({"name": name, "no_such_option": 1})


@pytest.mark.parametrize("image_shape", [(1, 28, 28), (3, 32, 32), (1, 30, 18)])
@pytest.mark.parametrize("channels", [(8,), (8, 8, 12, 16)])
def test_unet_pads_inside_and_cuts_again(image_shape: tuple[int, int, int], channels: tuple[int, ...]):
    module = Unet(channels=channels, noise_width=8).build(image_shape)
    module.reset_parameters(torch.Generator().manual_seed(0))
    assert module(*batch(image_shape, num=1)).shape == (1, *image_shape)


def test_a_network_of_a_library_that_is_not_here_says_how_to_have_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    network = NETWORKS.build("diffusers_unet")
    for work in (network.check, lambda: network.build((1, 8, 8))):
        with pytest.raises(ValueError) as raised:
            work()
        assert str(raised.value).startswith(
            "Network diffusers_unet needs the library diffusers, which cannot be"
        )
        assert str(raised.value).endswith("Run: pip install --constraint constraints.txt '.[diffusers]'")


def test_unet_uses_all_positions_with_attention():
    """One changed pixel in a corner reaches the opposite corner only through attention."""
    generator = torch.Generator().manual_seed(0)
    x_BCHW = torch.randn((1, 1, 64, 64), generator=generator)
    changed = x_BCHW.clone()
    changed[..., 0, 0] += 10
    reach = {}
    for attention in (False, True):
        module = Unet(channels=(4, 4), attention=attention, noise_width=4).build((1, 64, 64))
        module.reset_parameters(torch.Generator().manual_seed(0))
        for part in module.modules():
            if isinstance(part, nn.Conv2d):
                part.reset_parameters()
            if isinstance(part, nn.GroupNorm):  # sees all positions too: take it out
                part.forward = lambda input: input
        c_noise_B = torch.zeros(1)
        reach[attention] = (module(changed, c_noise_B) - module(x_BCHW, c_noise_B))[..., -1, -1].abs().max()
    assert reach[False] == 0
    assert reach[True] > 0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: FilmMlp(width=0), r"`1 <= width <= 8192` must hold, but got width=0"),
        (lambda: FilmMlp(depth=-1), "depth=-1"),
        (lambda: FilmMlp(noise_band=(4.0, 0.5)), r"noise_band=\[4.0, 0.5\]"),
        (lambda: FilmMlp(noise_band=(0.0, 0.5)), r"`0.0001 <= low <= high <= 1000` must hold"),
        (lambda: FilmMlp(noise_band=(0.1, math.nan)), "nan"),
        (lambda: Mlp(depth=0), r"`1 <= depth <= 64` must hold, but got depth=0"),
        (lambda: Unet(blocks=0), "blocks=0"),
        (lambda: Unet(channels=()), "`channels` must be 1 to 6 numbers"),
        (lambda: Unet(channels=(8, 0)), "`channels` must be 1 to 6 numbers"),
        (lambda: Unet(channels=(8, 8, 8, 8)).build((1, 4, 4)), "cannot be halved 3 times"),
    ],
)
def test_impossible_sizes_are_refused(build, message: str):
    with pytest.raises(ValueError, match=message):
        build()


def test_noise_features_are_slow_waves_that_still_tell_levels_apart():
    c_noise_B = torch.linspace(-1.6, 1.1, 1281)
    features_BE = NoiseFeatures(16)(c_noise_B)
    assert features_BE.shape == (1281, 16)
    assert (features_BE[1:] - features_BE[:-1]).norm(dim=1).min() > 1e-4  # float32 resolves 1e-7
    # The fastest wave stays within a third of a period from one end of the levels to the other.
    assert (2.7 * NoiseFeatures(16).frequency_E).max() < 2 * torch.pi / 3 * 1.01


def test_the_band_of_the_noise_features_is_from_its_slowest_to_its_fastest_wave():
    frequency_E = NoiseFeatures(6, (0.25, 4.0)).frequency_E
    wanted_E = 2 * torch.pi * torch.tensor([0.25, 1.0, 4.0]).repeat(2)
    torch.testing.assert_close(frequency_E, wanted_E)
    fast = FilmMlp(noise_band=(0.25, 4.0)).build(IMAGE_SHAPE)
    slow = FilmMlp().build(IMAGE_SHAPE)
    for module in (fast, slow):
        module.reset_parameters(torch.Generator().manual_seed(0))
    (fast_E,) = (part.frequency_E for part in fast.modules() if isinstance(part, NoiseFeatures))
    assert (fast_E.min() / torch.pi, fast_E.max() / torch.pi) == pytest.approx((0.5, 8))
    for a, b in zip(fast.parameters(), slow.parameters(), strict=True):
        assert torch.equal(a, b), "the band changes no drawn weight"


def test_mlp_is_three_layers_of_which_the_first_sees_the_noise_level():
    shapes = [tuple(parameter.shape) for parameter in Mlp().build(IMAGE_SHAPE).parameters()]
    assert shapes == [(256, 65), (256,), (256, 256), (256,), (64, 256), (64,)]
