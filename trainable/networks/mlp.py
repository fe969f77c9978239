"""A plain multilayer perceptron: the noise level is one more input."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from trainable.network import Network

if TYPE_CHECKING:
    from trainable.network_module import NetworkModule


@dataclass(frozen=True, kw_only=True)
class Mlp(Network):
    """Plain multilayer perceptron, the noise level one more input; no norm, no residuals, for tiny images.

    `depth` hidden layers of `width` with SiLU. The last layer starts at zero, so training starts from f = c_skip x.
    docs/transfer.md says how far other networks order schedules as this one does.
    """

    width: int = 256
    depth: int = 2

    BOUNDS: ClassVar[Mapping[str, tuple[int, int]]] = {"width": (1, 8192), "depth": (1, 64)}

    def build(self, image_shape: tuple[int, int, int]) -> "NetworkModule":
        from trainable.networks._mlp import MlpModule

        return MlpModule(math.prod(image_shape), self.width, self.depth)
