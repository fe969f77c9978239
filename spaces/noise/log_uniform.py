from dataclasses import dataclass

import numpy as np

from spaces.arrays import Array
from spaces.noise_distribution import NoiseDistribution


@dataclass(frozen=True, kw_only=True)
class LogUniform(NoiseDistribution):
    """ln sigma uniform between the ends of the grid. After NCSN, Song & Ermon 2019 (arXiv:1907.05600).

    NCSN draws its levels, a geometric sequence, uniformly. As likely in .002-.02 as in .2-2: no level is
    preferred, wherever the grid has its levels.
    """

    def probabilities(self, sigma_N: Array) -> Array:
        width_M = np.diff(np.log(sigma_N))
        return width_M / width_M.sum()
