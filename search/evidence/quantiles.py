"""Quantiles of Student's t and of the beta distribution, of which intervals are made."""

import math
from functools import lru_cache

from spaces.special import betainc_at

_MOST_STEPS = 200


@lru_cache(maxsize=4096)
def student_t(degrees: float, p: float) -> float:
    """The t with P(T <= t) = p, 1/2 <= p < 1, for Student's t with so many degrees of freedom.

    By Newton's method from 0: the upper tail is convex, so every step stays below.
    """
    assert p >= 0.5
    log_scale = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2) - 0.5 * math.log(degrees * math.pi)
    t = 0.0
    for _ in range(_MOST_STEPS):
        tail = 0.5 * betainc_at(degrees / 2, 0.5, degrees / (degrees + t * t))
        density = math.exp(log_scale - (degrees + 1) / 2 * math.log1p(t * t / degrees))
        step = (tail - (1 - p)) / density
        t += step
        if abs(step) <= 1e-14 * t:
            break
    return t


def beta(a: float, b: float, p: float) -> float:
    """The x with P(X <= x) = p for X ~ Beta(a, b). By bisection."""
    low, high = 0.0, 1.0
    while low < (middle := (low + high) / 2) < high:
        if betainc_at(a, b, middle) < p:
            low = middle
        else:
            high = middle
    return high
