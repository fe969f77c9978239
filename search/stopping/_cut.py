"""Who is compared with whom at a rung, and where ASHA cuts."""

from collections.abc import Collection

import numpy as np

from search.record import has_diverged
from search.stopping_rule import Rung


def asha_cut(number: int, rung: Rung, reduction_factor: float) -> float | None:
    """The best 1/reduction_factor of the other trials' values end here; None if there are no others.

    Diverged trials are left out: with them in, the more diverge, the worse a value would pass.
    """
    others = [value for other, value in rung.values.items() if other != number and not has_diverged(value)]
    return float(np.percentile(others, 100 / reduction_factor)) if others else None


def check_asha(rungs: Collection[float], reduction_factor: float) -> None:
    """ValueError for options with which ASHA would do nothing or could not decide."""
    check_rungs(rungs)
    if not reduction_factor > 1:
        raise ValueError(f"`reduction_factor > 1` must hold, but got reduction_factor={reduction_factor}")


def check_rungs(rungs: Collection[float]) -> None:
    """ValueError for a rule that would never be asked."""
    if not rungs:
        raise ValueError("`rungs` must name at least one fraction of the budget; without: `name: none`")
