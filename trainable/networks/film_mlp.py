"""A multilayer perceptron whose hidden layers are scaled and shifted by the noise level."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from trainable.network import Network

if TYPE_CHECKING:
    from trainable.network_module import NetworkModule

_LEAST_WAVE, _MOST_WAVE = 1e-4, 1e3  # periods per unit of c_noise


@dataclass(frozen=True, kw_only=True)
class FilmMlp(Network):
    """Residual multilayer perceptron, scaled and shifted by the noise level (FiLM); for tiny images.

    FiLM: Perez et al. 2018 (arXiv:1709.07871). `depth` hidden layers of `width`, each adding to what comes in,
    between a linear layer in and one out. The last starts at zero, so training starts from f = c_skip x.
    noise_band: the slowest and the fastest wave among the features of the noise level, in periods per unit of
    c_noise = ln(sigma) / 4. [0.0625, 4] is that of k-diffusion and EDM, about: what is learnt at one noise level
    then carries over less far to others.
    """

    width: int = 96
    depth: int = 2
    noise_features: int = 16
    noise_width: int = 32
    noise_band: tuple[float, float] = (2.0**-7, 2.0**-4)  # slow waves only, as NoiseFeatures has it

    BOUNDS: ClassVar[Mapping[str, tuple[int, int]]] = {
        "width": (1, 8192),
        "depth": (1, 64),
        "noise_features": (2, 1024),
        "noise_width": (1, 8192),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.noise_band
        if not _LEAST_WAVE <= low <= high <= _MOST_WAVE:  # NaN fails too
            raise ValueError(
                f"`{_LEAST_WAVE:g} <= low <= high <= {_MOST_WAVE:g}` must hold for noise_band=[low, high], "
                f"but got noise_band={list(self.noise_band)}"
            )

    def build(self, image_shape: tuple[int, int, int]) -> "NetworkModule":
        from trainable.networks._film_mlp import FilmMlpModule

        return FilmMlpModule(
            math.prod(image_shape),
            width=self.width,
            depth=self.depth,
            noise_features=self.noise_features,
            noise_width=self.noise_width,
            noise_band=self.noise_band,
        )
