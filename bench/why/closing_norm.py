"""A network whose last layer gets normalised values, as `film_mlp`'s does."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from trainable.network import Network, NetworkModule


@dataclass(frozen=True, kw_only=True)
class ClosingNorm(Network):
    """The network `inner` with a layer norm, without parameters, before its linear layer `image_out`."""

    inner: Network

    def build(self, image_shape: tuple[int, int, int]) -> NetworkModule:
        module = self.inner.build(image_shape)
        assert isinstance(module.image_out, nn.Linear)
        module.image_out.register_forward_pre_hook(_normalised)
        return module


def _normalised(layer: nn.Module, values: tuple[Tensor]) -> Tensor:
    return functional.layer_norm(values[0], values[0].shape[-1:])
