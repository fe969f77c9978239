"""Axes: M intervals, V and W quadrature nodes, S knots of the interpolation."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution

from spaces.arrays import Array
from spaces.noise_distribution import NoiseDistribution


@dataclass(frozen=True, kw_only=True)
class BetaMinMax(NoiseDistribution):
    """Beta(a, b), stretched in each batch to the whole grid. HN-iCT, Gokmen et al. 2024 (arXiv:2411.12181).

    The index is floor(w (M - 1)) of M intervals,
    w = (v - min v) / (max v - min v) over the batch_size draws v of one step. The stretch is where
    HN-iCT's high noise comes from: of 256 draws of Beta(1.5, 5) the largest is about .75, yet becomes
    the top of the grid. One draw of each batch is the lowest interval, one the highest.

    The probabilities are the expected ones of this law. In the paper the draws of a batch are tied by its
    extremes; here the level of each image is drawn from the expected law, by default one from each of B equal
    slices of it, else independently (`training.stratified`). batch_size is part of the law and need not be the
    batch trained with; 256 is that of each of the two processes in the author's example. As in the author's code
    (6288e2f of mselmangokmen/consistency-model-unofficial); the paper's own formula is not verified.
    """

    a: float = 1.5
    b: float = 5.0
    batch_size: int = 256

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {
        "a": (0.05, 100.0),
        "b": (0.05, 100.0),
        "batch_size": (2, 65_536),
    }
    SPACE: ClassVar[Mapping[str, BaseDistribution]] = {
        "a": FloatDistribution(0.2, 5.0, log=True),
        "b": FloatDistribution(0.5, 8.0, log=True),
    }

    def probabilities(self, sigma_N: Array) -> Array:
        num_intervals = len(sigma_N) - 1
        if num_intervals == 1:
            return np.ones(1)
        ends = 1 / self.batch_size
        inner = np.arange(1, num_intervals - 1) / (num_intervals - 1)
        cdf_inner = ends + (1 - 2 * ends) * interpolated_cdf(inner, self.a, self.b, self.batch_size)
        # The lowest draw, w = 0, belongs to the first interval; the highest, w = 1, is the last alone.
        p_M = np.diff(np.concatenate([[0.0], cdf_inner, [1 - ends, 1.0]]))
        p_M = p_M.clip(min=0.0)
        return p_M / p_M.sum()


def interpolated_cdf(
    w: Array, a: float, b: float, batch_size: int, num_nodes: int = 24, num_knots: int = 401
) -> Array:
    """P(W <= w) of a draw that is neither the lowest nor the highest, cubic between knots in logit w.

    num_nodes: of the quadrature over V, and over W. With more nodes and knots than these, the probability of an
    interval changes by less than 1e-4 of itself and by less than 5e-8, at all corners of a, b and batch_size.
    """
    from scipy import special

    s_S, cdf_S, slope_S = _knots(a, b, batch_size, num_nodes, num_knots)
    s = special.logit(w)
    h = s_S[1] - s_S[0]
    left = ((s - s_S[0]) / h).astype(np.int64).clip(0, len(s_S) - 2)
    x = (s - s_S[left]) / h
    rise = cdf_S[left + 1] - cdf_S[left]
    start, end = h * slope_S[left], h * slope_S[left + 1]
    # Hermite's polynomial with the values and slopes of both knots.
    return cdf_S[left] + x * (start + x * (3 * rise - 2 * start - end + x * (start + end - 2 * rise)))


@lru_cache(maxsize=64)
def _knots(a: float, b: float, batch_size: int, num_nodes: int, num_knots: int) -> tuple[Array, Array, Array]:
    """s_S = logit w, P(W <= w) there, and its derivative by s.

    Given the lowest draw x and the highest y, the others are independent Beta draws between them:

        P(W <= w | x, y) = (F(x + w (y - x)) - F(x)) / (F(y) - F(x))

    F(y) is the highest of n = batch_size uniforms, V**(1/n); F(x) the lowest of the n - 1 others below
    it, F(y) (1 - W**(1/(n - 1))). The mean over V and W is a Gauss-Legendre product.
    """
    from scipy import special  # an import of a sixth of a second, of which other laws need nothing

    nodes, weights = np.polynomial.legendre.leggauss(num_nodes)
    u, weights = (nodes + 1) / 2, weights / 2
    # V = u**2 (3 - 2u): the nodes gather at both ends, where the extremes of a batch vary most.
    mapped, weights = u**2 * (3 - 2 * u), weights * 6 * u * (1 - u)
    weight_VW = weights[:, None] * weights[None, :]
    log_q_V1 = np.log(mapped)[:, None] / batch_size
    gap_W = -np.expm1(np.log(mapped) / (batch_size - 1))  # 1 - F(x)/F(y) is 1 - gap
    q_V1, p_VW = np.exp(log_q_V1), np.exp(log_q_V1) * gap_W
    x_VW = special.betaincinv(a, b, p_VW)
    rest_of_y_V1 = special.betaincinv(b, a, -np.expm1(log_q_V1))  # 1 - y, precise where y is near 1
    span_VW = (1 - x_VW) - rest_of_y_V1
    s_S = np.linspace(-_LOGIT_END, _LOGIT_END, num_knots)
    cdf_S, slope_S = np.empty(num_knots), np.empty(num_knots)
    log_beta = special.betaln(a, b)
    for k, s in enumerate(s_S):
        w, rest = special.expit(s), special.expit(-s)
        v_VW, rest_of_v_VW = x_VW + w * span_VW, rest_of_y_V1 + rest * span_VW
        conditional_VW = (special.betainc(a, b, v_VW) - p_VW) / (q_V1 - p_VW)
        log_density_VW = special.xlogy(a - 1, v_VW) + special.xlogy(b - 1, rest_of_v_VW) - log_beta
        cdf_S[k] = (weight_VW * conditional_VW).sum()
        slope_S[k] = (weight_VW * np.exp(log_density_VW) * span_VW / (q_V1 - p_VW)).sum() * w * rest
    return s_S, cdf_S, slope_S


_LOGIT_END = 10.0  # w = 4.5e-5: below 1/16384, the narrowest interval there is
