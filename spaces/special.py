"""The normal and the incomplete beta function as laws and intervals need them.

`scipy.special` has them too, but its import takes a fourth of the time of a command that only looks at a search.
`tests/spaces/test_special.py` holds what is here against it.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from spaces.arrays import Array

_erfc = np.frompyfunc(math.erfc, 1, 1)
_FAR = -30.0  # standard deviations: below, the asymptotic series is precise to the last digits
_MOST_TERMS = 2000
_PRECISE = 4e-16


def ndtr(z: Array) -> Array:
    """P(Z <= z) for Z ~ N(0, 1)."""
    return 0.5 * np.asarray(_erfc(np.asarray(z) / -math.sqrt(2)), dtype=np.float64)


def log_ndtr(z: Array) -> Array:
    """ln P(Z <= z) for Z ~ N(0, 1), precise in both tails."""
    z = np.asarray(z, dtype=np.float64)
    tail = ndtr(-np.abs(z.clip(_FAR)))
    is_upper = z > 0
    near = np.where(is_upper, np.log1p(-tail), np.log(np.where(is_upper, 1, tail)))
    is_far = z < _FAR
    if not is_far.any():
        return near
    far = z.clip(max=_FAR)
    over = 1 / far**2  # Mills' ratio, DLMF 7.12.1
    series = 1 - over * (1 - 3 * over * (1 - 5 * over * (1 - 7 * over)))
    log_tail = -0.5 * far**2 - np.log(-far) - 0.5 * math.log(2 * math.pi) + np.log(series)
    return np.where(is_far, log_tail, near)


def betainc(a: float, b: float, x: Array) -> Array:
    """I_x(a, b), the distribution function of Beta(a, b) at x in [0, 1]."""
    return _both_tails(a, b, x)[0]


def betaincc(a: float, b: float, x: Array) -> Array:
    """1 - I_x(a, b), precise where it is small."""
    return _both_tails(a, b, x)[1]


def _both_tails(a: float, b: float, x: Array) -> tuple[Array, Array]:
    x = np.asarray(x, dtype=np.float64)
    is_low = x <= (a + 1) / (a + b + 2)
    first, second = np.where(is_low, a, b), np.where(is_low, b, a)
    near = np.where(is_low, x, 1 - x)
    with np.errstate(divide="ignore"):
        scale = np.exp(first * np.log(near) + second * np.log1p(-near) - _log_beta(a, b)) / first
    tail = scale * _fraction(first, second, near, lambda error_: float(np.max(np.abs(error_), initial=0.0)))
    return np.where(is_low, tail, 1 - tail), np.where(is_low, 1 - tail, tail)


def betainc_at(a: float, b: float, x: float) -> float:
    """`betainc` of one number, faster."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - betainc_at(b, a, 1 - x)
    scale = math.exp(a * math.log(x) + b * math.log1p(-x) - _log_beta(a, b)) / a
    return scale * float(_fraction(a, b, x, abs))


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _fraction(a: Any, b: Any, x: Any, largest: Callable[[Any], float]) -> Any:
    """The continued fraction of I_x(a, b), DLMF 8.17.22, by Lentz's method; x below (a + 1) / (a + b + 2)."""
    above, below = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    found = below
    for m in range(1, _MOST_TERMS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            below, above = 1 / (1 + term * below), 1 + term / above
            found = found * below * above
        if largest(below * above - 1) < _PRECISE:
            break
    return found
