import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution

from spaces.arrays import Array
from spaces.noise_distribution import NoiseDistribution
from spaces.special import ndtr


@dataclass(frozen=True, kw_only=True)
class PolynomialJittered(NoiseDistribution):
    """Polynomial by batch position, with jitter, as published. Gokmen et al. 2024 (arXiv:2404.06353).

    index = floor(x_j + n) for the positions j = 0..B-1 of a batch of B = batch_size, n normal. In the
    author's code (mselmangokmen/consistency-model-unofficial) for N levels, by `commit`:

        5cdaa1e    x_j = floor((j/B)**degree (N-1))        n ~ N(0, N**(1/7)) (mean, deviation)    kept in 0..N-2
        3e2a486    x_j = (j/(B-1))**degree (N-2)           n ~ N(1, 1)                             kept in 0..N-3
        994cbf8    the same, also in 9e604e9               n ~ N(N**(1/5), 1)                      kept in 0..N-3

    Where the index would leave the range that it is kept in, n is dropped. So from 3e2a486 on the top
    interval is drawn about once for each batch, whatever the degree. With few levels the jitter is no
    detail: at degree 4 and N = 20 it moves more than half of the lowest levels' mass upwards.

    The probabilities are the mean over the batch. There the positions are one each in a batch and only the
    jitter is drawn; here the level of each image is drawn from the mean law, by default one from each of B equal
    slices of it, else independently (`training.stratified`). batch_size is part of the law and need not be the
    batch trained with; 128 is that of each of the two processes in the author's parameter file. Degree 4 is the
    paper's best (abstract); its parameter files hold 3.5, then 2.5. Its formula, read in a review only, rounds
    and adds "n(1, 0)".
    """

    degree: float = 4.0
    batch_size: int = 128
    commit: Literal["5cdaa1e", "3e2a486", "994cbf8"] = "994cbf8"

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {
        "degree": (0.01, 100.0),
        "batch_size": (2, 65_536),
    }
    SPACE: ClassVar[Mapping[str, BaseDistribution]] = {"degree": FloatDistribution(1.0, 6.0)}

    def probabilities(self, sigma_N: Array) -> Array:
        num_levels = len(sigma_N)
        position_B = np.arange(self.batch_size, dtype=np.float64)
        if self.commit == "5cdaa1e":
            x_B = np.floor((position_B / self.batch_size) ** self.degree * (num_levels - 1))
            kept, mean, deviation = num_levels - 1, 0.0, num_levels ** (1 / 7)
        else:
            x_B = (position_B / (self.batch_size - 1)) ** self.degree * (num_levels - 2)
            mean = 1.0 if self.commit == "3e2a486" else num_levels ** (1 / 5)
            kept, deviation = num_levels - 2, 1.0
        return _expected(x_B, mean, deviation, kept, num_levels - 1)


def _expected(x_B: Array, mean: float, deviation: float, kept: int, num_intervals: int) -> Array:
    """Mean over B of the law of floor(x + n) if that is in 0..kept-1, else floor(x)."""
    reach = math.ceil(9 * deviation)  # beyond 9 deviations lie 1e-19
    near_R = np.arange(-reach, reach + 1)
    index_BR = np.floor(x_B + mean).astype(np.int64)[:, None] + near_R
    from_BR = (index_BR - x_B[:, None] - mean) / deviation
    jittered_BR = ndtr(from_BR + 1 / deviation) - ndtr(from_BR)
    jittered_BR = jittered_BR * ((index_BR >= 0) & (index_BR < kept))
    p_M = np.zeros(num_intervals)
    np.add.at(p_M, index_BR.clip(0, num_intervals - 1), jittered_BR)
    np.add.at(p_M, np.floor(x_B).astype(np.int64), (1 - jittered_BR.sum(axis=1)).clip(min=0.0))
    return p_M / p_M.sum()
