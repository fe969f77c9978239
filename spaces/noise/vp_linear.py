from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from spaces.arrays import Array
from spaces.noise_distribution import SigmaLaw


@dataclass(frozen=True, kw_only=True)
class VPLinear(SigmaLaw):
    """VP with linear betas, t uniform in (epsilon, 1). Song et al. 2021 (arXiv:2011.13456).

        sigma(t)**2 = exp(beta_d t**2/2 + beta_min t) - 1

    DDPM's linear betas in continuous time, its noise level as EDM writes it (Karras et al. 2022, Table 1,
    arXiv:2206.00364; constants checked in the code of NVlabs/edm and crowsonkb/k-diffusion). A heavy
    high-noise law: it reaches from sigma = .001 to 152, and 6.65 % lie above 80, where the usual grid cuts
    it off. Nothing is searched by default: it is a fixed control for the high-noise laws on the index.
    """

    beta_d: float = 19.9
    beta_min: float = 0.1
    epsilon: float = 1e-5

    TENSORS: ClassVar[bool] = False
    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {
        "beta_d": (1.0, 100.0),
        "beta_min": (1e-3, 10.0),
        "epsilon": (0.0, 0.1),
    }

    def _t(self, sigma: Array) -> Array:
        x = 2 * self.beta_d * np.log1p(sigma**2)
        t = x / (np.sqrt(self.beta_min**2 + x) + self.beta_min) / self.beta_d
        return t.clip(self.epsilon, 1.0)

    def cdf(self, sigma: Array) -> Array:
        return (self._t(sigma) - self.epsilon) / (1 - self.epsilon)

    def log_sf(self, sigma: Array) -> Array:
        return np.log((1 - self._t(sigma)) / (1 - self.epsilon))
