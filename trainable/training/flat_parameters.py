"""A module's parameters as views of one flat tensor, so that optimiser and EMA are a few vector operations."""

import torch
from torch import Tensor, nn


def _view(segment: Tensor, like: Tensor, channels_last: bool) -> Tensor:
    front = segment.shape[:-1]
    if channels_last and like.ndim == 4:
        out_channels, in_channels, height, width = like.shape
        return segment.view(*front, out_channels, height, width, in_channels).movedim(-1, -3)
    return segment.view((*front, *like.shape))


def views(module: nn.Module, flat_P: Tensor, channels_last: bool = False) -> list[Tensor]:
    """Of a flat tensor, what belongs to each of the module's parameters, in their order and shape.

    flat_P may have more axes in front; each view has them too.
    """
    parameters = list(module.parameters())
    parts = flat_P.split([parameter.numel() for parameter in parameters], dim=-1)
    return [_view(part, like, channels_last) for part, like in zip(parts, parameters, strict=True)]


def num_parameters(module: nn.Module) -> int:
    """P."""
    return sum(parameter.numel() for parameter in module.parameters())


def flatten_parameters(
    module: nn.Module, device: torch.device, channels_last: bool = False, into_P: Tensor | None = None
) -> Tensor:
    """Move the module to `device` and its parameters into one float32 tensor (P,), returned; values are kept.

    From then on writing to the flat tensor changes the module and the other way round. Do not
    move or cast the module afterwards: that would part the two. into_P: that tensor; None: a new one.
    """
    module.to(device)
    flat_P = torch.empty(num_parameters(module), device=device) if into_P is None else into_P
    for parameter, view in zip(module.parameters(), views(module, flat_P, channels_last), strict=True):
        view.copy_(parameter.detach())
        parameter.data = view
    return flat_P


def flatten_gradients(module: nn.Module, channels_last: bool = False, into_P: Tensor | None = None) -> Tensor:
    """One zero tensor (P,) into which `backward` accumulates the gradients, ordered like the parameters.

    into_P: that tensor, zero already; None: a new one.
    """
    device = next(module.parameters()).device
    flat_P = torch.zeros(num_parameters(module), device=device) if into_P is None else into_P
    for parameter, view in zip(module.parameters(), views(module, flat_P, channels_last), strict=True):
        parameter.grad = view
    return flat_P
