"""How large a network is, before it is trained: built on torch's meta device, which holds no numbers."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search.errors import InputError
from search.file.holds import SettingSpec
from search.file.sections import Resources

_STATES = 5  # weights, their gradient and average, two moments
# Teacher, student, and twice as much for the gradient.
_PASSES = 4
# A step of more takes minutes on a CPU, about 1e10 a second: it is not timed.
_MOST_OPERATIONS = 1e12
MOST_PASSED = 5e9  # operations of an image: a real pass over two takes less than a second


@dataclass(frozen=True)
class Size:
    """Of one trial. bytes, operations: what its training holds and a step takes in its layers, at least."""

    parameters: int
    bytes: int
    operations: float

    @property
    def is_quick(self) -> bool:
        """Whether a few steps may be timed on a CPU."""
        return self.operations <= _MOST_OPERATIONS


def size_of(resources: Resources, setting: SettingSpec, image_shape: Sequence[int]) -> Size:
    """The size of the setting's network for such images. ValueError for images that it cannot take."""
    channels, height, width = image_shape
    images = min(resources.micro_batch or setting.training.batch_size, setting.training.batch_size)
    # A network of the user's may compute with numbers where it is made: it is built, and tried with one image.
    is_own = setting.network.code is not None
    with torch.device("cpu" if is_own else "meta"), torch.random.fork_rng(devices=[]):
        module = setting.network.build((channels, height, width))
    parameters = sum(parameter.numel() for parameter in module.parameters())
    # A pass there imports two seconds of torch's compiler: a small network makes a real one, on a few images.
    device, passed = ("cpu", 1) if is_own else ("meta", images)
    if not is_own and 2 * parameters * height * width <= MOST_PASSED:  # as if each weight met each pixel
        device, passed = "cpu", min(images, 2)
        with torch.random.fork_rng(devices=[]):  # weights that do not matter are drawn
            module = setting.network.build((channels, height, width))
    with torch.device(device):
        batch_BCHW, c_noise_B = torch.zeros(passed, channels, height, width), torch.zeros(passed)
    kept, operations = 0, 0

    def count(part: nn.Module, _: object, out: Tensor) -> None:
        nonlocal kept, operations
        kept += out.numel()
        weight = part.weight
        assert isinstance(weight, Tensor)
        operations += 2 * out.numel() * (weight[0].numel() if weight.ndim > 1 else 1)

    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d | nn.GroupNorm | nn.LayerNorm):
            part.register_forward_hook(count)
    with torch.no_grad():
        module(batch_BCHW, c_noise_B)
    size = torch.float32.itemsize * (_STATES * parameters + kept * images // passed)
    share = setting.training.batch_size / passed
    return Size(parameters, size, _PASSES * share * operations)


def check_memory(size: Size, device: torch.device) -> None:
    """InputError where the device has less memory in all than one trial needs at least."""
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
    else:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if size.bytes > memory:
        raise InputError(
            f"network: {size.parameters:,} parameters take at least {size.bytes / 1e9:,.1f} GB in training at this "
            f"batch size, but this machine has {memory / 1e9:,.1f} GB. Take a smaller network, or `training.batch_size`"
        )
