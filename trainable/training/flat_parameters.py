"""A module's parameters as views of one flat tensor, so that optimiser and EMA are a few vector operations."""

import torch
from torch import Tensor, nn


def _view(segment: Tensor, like: Tensor, channels_last: bool) -> Tensor:
    if channels_last and like.ndim == 4:
        out_channels, in_channels, height, width = like.shape
        return segment.view(out_channels, height, width, in_channels).permute(0, 3, 1, 2)
    return segment.view(like.shape)


def flatten_parameters(module: nn.Module, device: torch.device, channels_last: bool = False) -> Tensor:
    """Move the module to `device` and its parameters into one float32 tensor (P,), returned; values are kept.

    From then on writing to the flat tensor changes the module and the other way round. Do not
    move or cast the module afterwards: that would part the two.
    """
    module.to(device)
    parameters = list(module.parameters())
    flat_P = torch.empty(sum(p.numel() for p in parameters), dtype=torch.float32, device=device)
    start = 0
    for parameter in parameters:
        view = _view(flat_P[start : start + parameter.numel()], parameter, channels_last)
        view.copy_(parameter.detach())
        parameter.data = view
        start += parameter.numel()
    return flat_P


def flatten_gradients(module: nn.Module, channels_last: bool = False) -> Tensor:
    """One zero tensor (P,) into which `backward` accumulates the gradients, ordered like the parameters."""
    parameters = list(module.parameters())
    device = parameters[0].device
    flat_P = torch.zeros(sum(p.numel() for p in parameters), dtype=torch.float32, device=device)
    start = 0
    for parameter in parameters:
        parameter.grad = _view(flat_P[start : start + parameter.numel()], parameter, channels_last)
        start += parameter.numel()
    return flat_P
