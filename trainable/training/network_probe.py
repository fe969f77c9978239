"""Whether a network keeps the rules of `NetworkModule`: tried with a few images, before anything is trained with it.

Axes: B images, C channels, H height, W width.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from spaces import PRESETS
from trainable.draws import drawing
from trainable.network import Network, NetworkModule
from trainable.threads import on_threads
from trainable.training.config import TrainingConfig
from trainable.training.trainer import Trainer

_IMAGES = 4
_CPU = torch.device("cpu")
_ALONE = (
    1e-3  # relative to the largest value: sums of another order, far below what a statistic of the batch does
)


def check_network(network: Network, image_shape: tuple[int, int, int], training: TrainingConfig) -> None:
    """ValueError, with one line, for the first rule that it breaks. A few passes, on the CPU."""
    with on_threads(1), torch.random.fork_rng(devices=[]):
        modules = network.build(image_shape), network.build(image_shape)
        try:
            broken = next(_broken(network, modules, image_shape, training), None)
        except (Exception, SystemExit) as error:
            broken = f"fails when its first steps are tried: {network.told(error)}"
        if broken is not None:
            raise ValueError(f"network: {network.title} {broken}")


def _broken(
    network: Network,
    modules: tuple[NetworkModule, NetworkModule],
    image_shape: tuple[int, int, int],
    training: TrainingConfig,
) -> Iterator[str]:
    module, again = modules
    yield from _state(module)
    for each in (module, again):
        each.reset_parameters(torch.Generator().manual_seed(0))
    if not _same(module.state_dict(), again.state_dict()):
        yield (
            "begins with other weights each time, whatever the seed. Draw them from torch's random numbers alone"
        )
    x_BCHW = torch.randn((_IMAGES, *image_shape), generator=torch.Generator().manual_seed(1))
    c_noise_B = torch.linspace(-1.5, 1.0, _IMAGES)
    yield from _pass(network, module, x_BCHW, c_noise_B)
    yield from _batch(module, x_BCHW, c_noise_B)
    yield from _steps(network, x_BCHW, training)


def _state(module: NetworkModule) -> Iterator[str]:
    parameters = dict(module.named_parameters())
    if not any(parameter.requires_grad for parameter in parameters.values()):
        yield "has no parameters to train. Give its layers to self in __init__"
    for name, parameter in parameters.items():
        name = name.removeprefix("own.")
        if isinstance(parameter, UninitializedParameter):
            yield f"has a lazy layer, whose weight {name} has no size yet. Give its size in __init__"
        elif parameter.dtype != torch.float32:
            yield f"has {parameter.dtype} for {name}. Make it float32; training.precision casts"
    for name, part in module.named_modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            yield (
                f"has batch norm ({name.removeprefix('own.')}), by which the images of a batch see each other and "
                "student and teacher differ. Take nn.GroupNorm"
            )
    for name, value in module.state_dict().items():
        if not isinstance(value, Tensor):
            yield f"keeps {name.removeprefix('own.')} in its state_dict, which is no tensor. Register it as a buffer"


def _pass(network: Network, module: NetworkModule, x_BCHW: Tensor, c_noise_B: Tensor) -> Iterator[str]:
    """A pass with its gradient, twice."""
    given = f"forward(x, {getattr(network, 'takes', 'c_noise')}) of {tuple(x_BCHW.shape)} and {tuple(c_noise_B.shape)}"
    outs = []
    for _ in range(2):
        module.reset_parameters(torch.Generator().manual_seed(0))
        with drawing(_CPU, 0):
            try:
                out = module(x_BCHW, c_noise_B)
            except Exception as error:
                yield f"fails in {given}: {network.told(error)}"
                return
        if not isinstance(out, Tensor):
            yield f"must give one tensor, but {given} gave {type(out).__name__}"
            return
        if out.shape != x_BCHW.shape or not out.is_floating_point():
            yield (
                f"must give floats of the shape of the images, but {given} gave {out.dtype} of {tuple(out.shape)}"
            )
            return
        outs.append(out)
    if not bool(outs[0].isfinite().all()):
        yield f"gave NaN or infinity with its first weights in {given}"
    if not outs[0].requires_grad:
        yield "gave what no weight is a part of: nothing could be learnt. Do not detach it"
    if not torch.equal(*outs):
        yield f"is not deterministic on the CPU: with one seed {given} gave two results"


def _batch(module: NetworkModule, x_BCHW: Tensor, c_noise_B: Tensor) -> Iterator[str]:
    """Does an image see the others? With no weight at its first value, which may be zero."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad(), drawing(_CPU, 0):
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        for is_training in (False, True):
            module.train(is_training)
            before = torch.get_rng_state()
            together = module(x_BCHW, c_noise_B)
            if not torch.equal(torch.get_rng_state(), before):
                continue  # with dropout, images differ by their masks
            alone = torch.cat([module(x_BCHW[i : i + 1], c_noise_B[i : i + 1]) for i in range(_IMAGES)])
            if float((together - alone).abs().max()) > _ALONE * float(together.abs().max()):
                yield "gives an image another result in a batch than alone. Images must not see each other"
                return


def _steps(network: Network, x_BCHW: Tensor, training: TrainingConfig) -> Iterator[str]:
    """Does a trial that is interrupted go on as if it had not been?"""
    config = replace(training, batch_size=_IMAGES, total_steps=max(2, training.total_steps), cuda_graph=False)
    made = partial(Trainer, network, x_BCHW.clamp(-1, 1), config)
    schedule = PRESETS["ict"].schedule
    through = made()
    through.begin(schedule, seed=0)
    through.train(1)
    kept = through.state_dict()
    through.train(2)
    resumed = made()
    resumed.begin(schedule, seed=0)
    resumed.load_state_dict(*kept)
    resumed.train(2)
    if not _same(through.state_dict()[0], resumed.state_dict()[0]):
        yield (
            "goes on otherwise after an interruption: it changes in training by more than its parameters and "
            "buffers, or is not deterministic. Register what changes with register_buffer"
        )


def _same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name].nan_to_num(), other[name].nan_to_num()) for name in one)
