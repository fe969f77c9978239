"""What a schedule has for a grid and a curriculum where its gap is not adjacent: two ends, and the gap's stages.

The denoising loss has the same, and for a gap none.

Training draws t from NUM_QUANTILES levels, the quantiles (j + .5) / NUM_QUANTILES of the law between the ends, all
equally often. Axes: Q quantiles, L levels of a fine logarithmic grid.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from spaces.arrays import Array
from spaces.curriculum import Curriculum, Steps
from spaces.gap import Gap
from spaces.grid import Grid
from spaces.noise_distribution import NoiseDistribution

NUM_QUANTILES = 4096
LEVELS_RULE = f"quantile (j + .5) / {NUM_QUANTILES} of the law between sigma_min and sigma_max, j = 0, 1, ..."
_FINE = 2**13


@dataclass(frozen=True, kw_only=True)
class Ends(Grid):
    """sigma_min and sigma_max alone. Where levels are asked for, to show a density, they are equally far in ln."""

    @property
    def most_levels(self) -> int:
        return _FINE + 1

    def levels_of(self, num_levels: int) -> Array:
        low, high = np.log([self.sigma_min, self.sigma_max])
        return np.asarray(np.exp(np.linspace(low, high, num_levels)))


@dataclass(frozen=True, kw_only=True)
class Clean(Gap):
    """r = 0, where the image is clean: what the denoising loss has in the place of a gap. It can not be named."""

    RULE: ClassVar[str] = "0: the target is the image itself"

    def teacher(self, t_M: Array, sigma_min: float, stage: int) -> Array:
        return np.zeros_like(t_M)


@dataclass(frozen=True, kw_only=True)
class Stages(Curriculum):
    """The stages of a gap; the number of levels is that at which a density is shown."""

    gap: Gap

    @property
    def most_levels(self) -> int:
        return NUM_QUANTILES + 1

    @property
    def most_stages(self) -> int:
        return self.gap.most_stages

    def levels_at(self, step_K: Steps, total_steps: int) -> Steps:
        return np.full_like(step_K, NUM_QUANTILES + 1)

    def phases_at(self, step_K: Steps, total_steps: int) -> Steps:
        return self.gap.stages_at(step_K, total_steps)

    def describe(self) -> str:
        """Nothing: the gap says it."""
        return ""


@lru_cache(maxsize=64)
def quantiles(noise: NoiseDistribution, ends: Ends) -> Array:
    """t_Q, float64, increasing."""
    sigma_L = ends.noise_levels(_FINE + 1)
    cdf_L = np.concatenate([[0.0], np.cumsum(noise.probabilities(sigma_L))])
    u_Q = (np.arange(NUM_QUANTILES) + 0.5) / NUM_QUANTILES
    t_Q: Array = np.exp(np.interp(u_Q, cdf_L / cdf_L[-1], np.log(sigma_L)))
    return t_Q
