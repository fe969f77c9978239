"""The gap of ECT that is nearest to a schedule's, at the end of the training."""

import math
from typing import NamedTuple

import numpy as np

from spaces import NoiseSchedule
from spaces.arrays import Array
from spaces.gaps.ect import MAX_SHRINKING, ECTGap

_NUM_CELLS = 60
_SIGMA_DATA = 0.5  # of weights, which are not asked for


class NearestGap(NamedTuple):
    """ECT's q**(stage + 1), k 8 and b 1. total_variation: between the laws of ln((t - r) / t) of the drawn pairs."""

    shrinking: float
    total_variation: float


def nearest_ect(schedule: NoiseSchedule, total_steps: int) -> NearestGap:
    """The one with the least total variation, in cells of the width of 1/60 of what there is."""
    pairs = schedule.pairs(schedule.stages(total_steps)[-1], _SIGMA_DATA)
    ours_M = np.log((pairs.t_M - pairs.r_M) / pairs.t_M)
    floor = schedule.grid.sigma_min

    def theirs(ln_shrinking: float) -> Array:
        gap = ECTGap(q=math.exp(ln_shrinking), num_stages=1)
        return np.asarray(np.log1p(-gap.teacher(pairs.t_M, floor, 0) / pairs.t_M))

    def variation(ln_shrinking: float) -> float:
        theirs_M = theirs(ln_shrinking)
        both = np.concatenate([ours_M, theirs_M])
        edges = np.linspace(both.min() - 1e-9, both.max() + 1e-9, _NUM_CELLS + 1)
        masses = [np.histogram(gap_M, edges, weights=pairs.probability_M)[0] for gap_M in (ours_M, theirs_M)]
        return float(abs(masses[0] - masses[1]).sum()) / 2

    from scipy.optimize import minimize_scalar  # where a gap is not its own nearest

    ends = math.log(ECTGap.BOUNDS["q"][0]), math.log(MAX_SHRINKING)
    best = min(np.linspace(*ends, 200), key=variation)
    found = minimize_scalar(
        variation, bounds=(max(best - 0.1, ends[0]), min(best + 0.1, ends[1])), method="bounded"
    )
    ln_shrinking = float(found.x) if found.fun <= variation(best) else float(best)
    return NearestGap(math.exp(ln_shrinking), variation(ln_shrinking))
