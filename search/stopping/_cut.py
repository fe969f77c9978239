"""Where ASHA cuts: what its variants share."""

import numpy as np

from search.record import has_diverged
from search.stopping_rule import Rung


def asha_cut(number: int, rung: Rung, reduction_factor: float) -> float | None:
    """The best 1/reduction_factor of the other trials' values end here; None if there are no others.

    Diverged trials are left out: with them in, the more diverge, the worse a value would pass.
    """
    others = [value for other, value in rung.values.items() if other != number and not has_diverged(value)]
    return float(np.percentile(others, 100 / reduction_factor)) if others else None


def check_reduction_factor(reduction_factor: float) -> None:
    """ValueError for a factor with which ASHA would stop nothing."""
    if not reduction_factor > 1:
        raise ValueError(f"`reduction_factor > 1` must hold, but got reduction_factor={reduction_factor}")
