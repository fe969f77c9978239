"""Any module as a network of ours."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainable.draws import drawing
from trainable.network import NetworkModule


class OwnModule(NetworkModule):
    """Its first weights are those with which it is made."""

    draws = True  # that it does not, nobody knows

    def __init__(self, make: Callable[[], nn.Module], takes_sigma: bool):
        super().__init__()
        self._make, self._takes_sigma = make, takes_sigma
        self.own = make()

    def reset_parameters(self, generator: torch.Generator) -> None:
        seed = int(torch.randint(2**62, (), generator=generator))
        with drawing(torch.device("cpu"), seed):
            made = self._make()
        with torch.no_grad():
            for mine, new in (
                (self.own.parameters(), made.parameters()),
                (self.own.buffers(), made.buffers()),
            ):
                for tensor, value in zip(mine, new, strict=True):
                    tensor.copy_(value)

    def forward(self, x_BCHW: Tensor, c_noise_B: Tensor) -> Tensor:
        out: Tensor = self.own(x_BCHW, (4 * c_noise_B).exp() if self._takes_sigma else c_noise_B)
        return out
