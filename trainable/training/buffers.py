"""What a network keeps besides its parameters."""

import torch
from torch import Tensor, nn


def saved_buffers(module: nn.Module) -> dict[str, Tensor]:
    """By `buffer.NAME`, what the module's `state_dict` has besides parameters: to be copied, and copied into."""
    parameters = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    return {
        f"buffer.{name}": tensor for name, tensor in module.state_dict().items() if name not in parameters
    }


@torch.no_grad()
def copy_buffers(module: nn.Module, into: nn.Module) -> None:
    """The average of the weights goes with the buffers of now."""
    for mine, theirs in zip(into.buffers(), module.buffers(), strict=True):
        mine.copy_(theirs)
