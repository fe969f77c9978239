"""The U-Nets give what their plain formulas give, under the names and in the order that checkpoints have."""

import resource

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from spaces import PRESETS
from trainable.network import NetworkModule, NoiseFeatures
from trainable.networks.small_unet import SmallUnet
from trainable.networks.unet import Unet
from trainable.training.config import TrainingConfig
from trainable.training.trainer import Trainer

State = dict[str, Tensor]

BLOCK = ["norm1", "conv1", "film", "norm2", "conv2"]
# Of channels [8, 12] with attention. Checkpoints hold the parameters one after another: their order counts.
LAYERS = [
    *("noise_in", "image_in"),
    *(f"down.0.0.{layer}" for layer in BLOCK),
    *(f"down.1.0.{layer}" for layer in [*BLOCK, "skip"]),
    *(f"middle.0.{layer}" for layer in BLOCK),
    *(f"middle.1.{layer}" for layer in BLOCK),
    *("attention.norm", "attention.qkv", "attention.out"),
    *(f"up.0.0.{layer}" for layer in [*BLOCK, "skip"]),
    *(f"up.1.0.{layer}" for layer in [*BLOCK, "skip"]),
    *("norm_out", "image_out"),
]


def scrambled(network: Unet) -> NetworkModule:
    """For 8x8 images, with no weight at its initial value."""
    module = network.build((1, 8, 8))
    generator = torch.Generator().manual_seed(3)
    module.reset_parameters(generator)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return module


def affine(state: State, name: str, x: Tensor) -> Tensor:
    """The linear layer or convolution of that name, padded so that the image keeps its size."""
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    return F.linear(x, weight, bias) if weight.ndim == 2 else F.conv2d(x, weight, bias, padding="same")


def norm(state: State, name: str, x: Tensor) -> Tensor:
    """(x - mean) / sqrt(variance + 1e-5) in each group of channels, times weight, plus bias."""
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    num_groups = next(n for n in (8, 4, 2, 1) if len(weight) % n == 0)
    parts = x.view(len(x), num_groups, -1)
    variance, mean = torch.var_mean(parts, dim=2, correction=0, keepdim=True)
    normed = ((parts - mean) / (variance + 1e-5).sqrt()).view(x.shape)
    return normed * weight[:, None, None] + bias[:, None, None]


def silu(x: Tensor) -> Tensor:
    return x / (1 + (-x).exp())


def block(state: State, name: str, x: Tensor, e: Tensor) -> Tensor:
    h = affine(state, f"{name}.conv1", silu(norm(state, f"{name}.norm1", x)))
    shift, scale = affine(state, f"{name}.film", e)[:, :, None, None].chunk(2, dim=1)
    h = affine(state, f"{name}.conv2", silu(norm(state, f"{name}.norm2", h) * (1 + scale) + shift))
    return h + (affine(state, f"{name}.skip", x) if f"{name}.skip.weight" in state else x)


def attention(state: State, x: Tensor) -> Tensor:
    """One head."""
    q, k, v = affine(state, "attention.qkv", norm(state, "attention.norm", x)).flatten(2).chunk(3, dim=1)
    share = (q.mT @ k / q.shape[1] ** 0.5).softmax(dim=2)
    return x + affine(state, "attention.out", (v @ share.mT).view(x.shape))


def plain(state: State, x: Tensor, c_noise: Tensor, num_middle: int, patch: int) -> Tensor:
    """Two resolutions, one block in each on each way."""
    e = silu(affine(state, "noise_in", NoiseFeatures(16).double()(c_noise)))
    first = affine(state, "image_in", F.pixel_unshuffle(x, patch))
    fine = block(state, "down.0.0", first, e)
    coarse = block(state, "down.1.0", F.avg_pool2d(fine, 2), e)
    h = coarse
    for i in range(num_middle):
        h = block(state, f"middle.{i}", h, e)
        h = attention(state, h) if i == 0 and "attention.out.weight" in state else h
    h = block(state, "up.0.0", torch.cat([h, coarse], dim=1), e)
    h = h.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    h = block(state, "up.1.0", torch.cat([h, fine], dim=1), e)
    h = affine(state, "image_out", silu(norm(state, "norm_out", torch.cat([h, first], dim=1))))
    return F.pixel_shuffle(h, patch)


@pytest.mark.parametrize(
    "network",
    [
        Unet(channels=(16, 32)),
        Unet(channels=(8, 12), attention=True),
        SmallUnet(),
        SmallUnet(channels=(8, 8), attention=True),
    ],
    ids=["16-32", "attention", "small", "small-attention"],
)
def test_output_and_gradients_are_those_of_the_plain_formulas_in_float64(network: Unet) -> None:
    module = scrambled(network)
    generator = torch.Generator().manual_seed(4)
    x, given = torch.randn((2, 16, 1, 8, 8), generator=generator)
    c_noise = torch.linspace(-1.55, 1.1, 16)
    state = {name: p.detach().double().requires_grad_() for name, p in module.state_dict().items()}
    expected = plain(state, x.double(), c_noise.double(), network.MIDDLE, network.patch_side)
    found = module(x, c_noise)
    assert (found - expected).detach().norm() < 1e-5 * expected.detach().norm()
    wanted = torch.autograd.grad(expected, list(state.values()), given.double())
    gradients = torch.autograd.grad(found, list(module.parameters()), given)
    whole = torch.cat([each.flatten() for each in wanted]).norm()
    for name, one, other in zip(state, gradients, wanted, strict=True):
        assert (one - other).norm() < 1e-5 * whole, name


def test_checkpoints_find_their_parameters_by_name_and_order() -> None:
    module = Unet(channels=(8, 12), attention=True).build((1, 8, 8))
    assert list(module.state_dict()) == [f"{layer}.{part}" for layer in LAYERS for part in ("weight", "bias")]


def test_the_small_one_has_a_quarter_of_the_positions() -> None:
    module = SmallUnet().build((1, 8, 8))
    seen = []
    for name in ("image_in", "image_out"):
        module.get_submodule(name).register_forward_hook(lambda _, given, out: seen.append((given[0], out)))
    out = module(torch.zeros(2, 1, 8, 8), torch.zeros(2))
    assert out.shape == (2, 1, 8, 8)
    assert [tuple(x.shape) for x in (seen[0][0], seen[1][1])] == [(2, 4, 4, 4), (2, 4, 4, 4)]


def test_a_patch_that_leaves_no_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Images of 4x4 cannot be halved 1 times .* patches of 4"):
        SmallUnet(patch=4).build((1, 4, 4))
    with pytest.raises(ValueError, match="`1 <= patch <= 8` must hold, but got patch=0"):
        SmallUnet(patch=0)


def test_a_step_fetches_no_memory_from_the_system_anew() -> None:
    x_NCHW = torch.randn(100, 1, 8, 8, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    trainer = Trainer(Unet(channels=(16, 16)), x_NCHW, TrainingConfig(batch_size=128))
    trainer.begin(PRESETS["ict"].schedule, 0)
    trainer.train(4)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    trainer.train(10)
    # Without `keep_freed_memory` it is more than 1,000 a step.
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 6 < 100
