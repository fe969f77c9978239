"""Random numbers that a network draws in its passes, as dropout does.

Layers take them from torch's global generator of the device. Here it is set, and put back.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def _generator(device: torch.device) -> torch.Generator:
    if device.type != "cuda":
        return torch.default_generator
    index = torch.cuda.current_device() if device.index is None else device.index
    return torch.cuda.default_generators[index]


@contextmanager
def drawing(device: torch.device, seed: int) -> Iterator[None]:
    """What is drawn in the block on `device`, and on the CPU, follows from the seed. After it all is as before."""
    devices = [_generator(device).device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        for one in (torch.device("cpu"), *devices):
            _generator(one).manual_seed(seed)
        yield


def drawn_alike(
    network: Callable[[Tensor, Tensor], Tensor], device: torch.device
) -> Callable[[Tensor, Tensor], Tensor]:
    """The network, whose passes without a gradient give their random numbers back: the next pass draws the same.

    The teacher's is the first of a step, and without a gradient; so the student has the same masks.
    """
    generator = _generator(device)

    def passed(x_BCHW: Tensor, c_noise_B: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return network(x_BCHW, c_noise_B)
        before = generator.get_state()
        out = network(x_BCHW, c_noise_B)
        generator.set_state(before)
        return out

    return passed
