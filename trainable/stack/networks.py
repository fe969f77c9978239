"""A network with as many sets of weights as there are trials: F_t(x_t, c_noise_t) of all trials t in one pass.

Axes: T trials, B images, I values into a layer, O out of it, P parameters.
"""

from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call

from trainable.network_module import NetworkModule
from trainable.training.config import TrainingConfig
from trainable.training.flat_parameters import num_parameters, views


def alone_because(
    module: NetworkModule, device: torch.device, training: TrainingConfig | None = None
) -> str | None:
    """Why trials of this network are trained one after another on that device; None where they can be together.

    training: with these options; None: with the usual ones.
    """
    if training is not None and training.other_ema_horizons:
        return "has several averages (training.other_ema_horizons)"
    if module.stacks is None:
        return "does not say that it can be stacked"
    linear = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    of_linear = sum(parameter.numel() for layer in linear for parameter in layer.parameters())
    if module.stacks == "layers" and of_linear != num_parameters(module):
        return "has other weights than those of linear layers"
    if module.stacks == "calls" and device.type == "cpu":
        return "gains nothing from it on a CPU"
    return None


class StackedNetwork(Protocol):
    """Of T trials. (x_TBCHW, c_noise_TB) -> (T, B, C, H, W)."""

    def bind(self, parameters_TP: Tensor, gradient_TP: Tensor) -> None:
        """From now on have these weights, of any number of trials, and add gradients to these."""

    def __call__(self, x_TBCHW: Tensor, c_noise_TB: Tensor) -> Tensor: ...


def stacked(module: NetworkModule, device: torch.device) -> StackedNetwork:
    """The module serves as the pattern, and is used up."""
    module.to(device)
    return StackedLayers(module) if module.stacks == "layers" else StackedCalls(module)


class _Linear(torch.autograd.Function):
    """y_t = x_t W_t' + b_t, in the products of torch's own linear layer: on the CPU its bits too."""

    @staticmethod
    def forward(
        ctx: Any, x_TBI: Tensor, weight_TOI: Tensor, bias_TO: Tensor | None, gradients: tuple[Tensor, ...]
    ) -> Tensor:
        """gradients: of weight and bias, to be added to."""
        ctx.save_for_backward(x_TBI, weight_TOI)
        ctx.gradients = gradients
        if bias_TO is None:
            return torch.bmm(x_TBI, weight_TOI.mT)
        return torch.baddbmm(bias_TO[:, None], x_TBI, weight_TOI.mT)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x_TBI, weight_TOI = ctx.saved_tensors
        (gradient_TBO,) = gradients
        into_weight_TOI, *into_bias_TO = ctx.gradients
        into_weight_TOI.add_(torch.bmm(gradient_TBO.mT, x_TBI))
        for into_TO in into_bias_TO:
            into_TO.add_(gradient_TBO.sum(1))
        gradient_TBI = torch.bmm(gradient_TBO, weight_TOI) if ctx.needs_input_grad[0] else None
        return gradient_TBI, None, None, None


class _StackedLinear(nn.Module):
    """In the place of `nn.Linear`, for x_TBI."""

    def __init__(self) -> None:
        super().__init__()
        self.values: list[Tensor] = []  # weight_TOI, and bias_TO where there is one
        self.gradients: list[Tensor] = []

    def forward(self, x_TBI: Tensor) -> Tensor:
        weight_TOI, bias_TO = (*self.values, None)[:2]
        assert weight_TOI is not None
        if torch.is_autocast_enabled(x_TBI.device.type):
            dtype = torch.get_autocast_dtype(x_TBI.device.type)
            x_TBI, weight_TOI = x_TBI.to(dtype), weight_TOI.to(dtype)
            bias_TO = None if bias_TO is None else bias_TO.to(dtype)
        out: Tensor = _Linear.apply(x_TBI, weight_TOI, bias_TO, tuple(self.gradients))
        return out


class StackedLayers:
    """A module whose parameters are all those of linear layers: these are exchanged, its `forward` is used."""

    def __init__(self, module: NetworkModule):
        self._module = module
        self._bound: Tensor | None = None
        linear = [name for name, layer in module.named_modules() if isinstance(layer, nn.Linear)]
        self._pattern = nn.ParameterList(module.parameters())
        self._layers = [_StackedLinear() for _ in linear]
        self._of_layer = [  # of each parameter, the number of its layer
            linear.index(name.rpartition(".")[0]) for name, _ in module.named_parameters()
        ]
        for name, layer in zip(linear, self._layers, strict=True):
            parent, _, own = name.rpartition(".")
            module.get_submodule(parent)._modules[own] = layer

    def bind(self, parameters_TP: Tensor, gradient_TP: Tensor) -> None:
        if parameters_TP is self._bound:
            return
        self._bound = parameters_TP
        for layer in self._layers:
            layer.values, layer.gradients = [], []
        values, gradients = (views(self._pattern, flat_TP) for flat_TP in (parameters_TP, gradient_TP))
        for number, value, gradient in zip(self._of_layer, values, gradients, strict=True):
            # That it wants a gradient makes the pass want one; it is added by `_Linear`.
            self._layers[number].values.append(value.requires_grad_())
            self._layers[number].gradients.append(gradient)

    def __call__(self, x_TBCHW: Tensor, c_noise_TB: Tensor) -> Tensor:
        out: Tensor = self._module(x_TBCHW, c_noise_TB)
        return out


class _Gathered(torch.autograd.Function):
    """The parameters as they are; their gradient is added where it is to be."""

    @staticmethod
    def forward(ctx: Any, parameters_TP: Tensor, gradient_TP: Tensor) -> Tensor:
        ctx.into_TP = gradient_TP
        return parameters_TP.view_as(parameters_TP)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None]:
        ctx.into_TP.add_(gradients[0])
        return None, None


class StackedCalls:
    """Any module that `torch.vmap` can run: neither random numbers nor changing buffers."""

    def __init__(self, module: NetworkModule):
        self._module = module
        self._names = [name for name, _ in module.named_parameters()]
        self._bound: tuple[Tensor, Tensor] | None = None
        self._call = torch.vmap(self._one)

    def _one(self, parameters: dict[str, Tensor], x_BCHW: Tensor, c_noise_B: Tensor) -> Tensor:
        out: Tensor = functional_call(self._module, parameters, (x_BCHW, c_noise_B))
        return out

    def bind(self, parameters_TP: Tensor, gradient_TP: Tensor) -> None:
        self._bound = parameters_TP.detach().requires_grad_(), gradient_TP

    def __call__(self, x_TBCHW: Tensor, c_noise_TB: Tensor) -> Tensor:
        assert self._bound is not None
        parameters_TP = _Gathered.apply(*self._bound)
        parts = views(self._module, parameters_TP, parameters_TP.device.type == "cuda")
        out: Tensor = self._call(dict(zip(self._names, parts, strict=True)), x_TBCHW, c_noise_TB)
        return out
