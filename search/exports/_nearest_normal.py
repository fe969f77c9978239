"""The normal law over ln sigma that is nearest to a schedule's.

Axes: L levels, M = L - 1 intervals between them.
"""

import math
from typing import NamedTuple

import numpy as np

from spaces import NoiseSchedule, SigmaLaw
from spaces.arrays import Array
from spaces.noise.lognormal import LogNormal
from spaces.special import ndtr

_NUM_LEVELS = 1025


class Normal(NamedTuple):
    """ln sigma ~ N(mean, std^2). total_variation: from the law of the schedule, between 0 and 1."""

    mean: float
    std: float
    total_variation: float


def nearest_normal(schedule: NoiseSchedule, total_steps: int, enough: float) -> Normal:
    """The normal with the least total variation from the levels that are trained at the end.

    A lognormal's own parameters, if its ends cut off no more than `enough`.
    """
    ln_sigma_L = np.linspace(
        math.log(schedule.grid.sigma_min), math.log(schedule.grid.sigma_max), _NUM_LEVELS
    )
    mass_M = _mass(schedule, total_steps, ln_sigma_L)

    def variation(mean: float, std: float) -> float:
        below_L = ndtr((ln_sigma_L - mean) / std)
        inside_M = np.diff(below_L)
        return float(abs(mass_M - inside_M).sum() + 1 - inside_M.sum()) / 2

    noise = schedule.noise
    if isinstance(noise, LogNormal):
        own = Normal(noise.p_mean, noise.p_std, variation(noise.p_mean, noise.p_std))
        if own.total_variation <= enough:
            return own
    middle_M = (ln_sigma_L[1:] + ln_sigma_L[:-1]) / 2
    mean = float(mass_M @ middle_M)
    std = math.sqrt(float(mass_M @ (middle_M - mean) ** 2))
    from scipy.optimize import (
        minimize,  # an import of a fifth of a second, of which a lognormal needs nothing
    )

    found = minimize(lambda x: variation(x[0], math.exp(x[1])), [mean, math.log(std)], method="Nelder-Mead")
    return Normal(float(found.x[0]), math.exp(float(found.x[1])), float(found.fun))


def _mass(schedule: NoiseSchedule, total_steps: int, ln_sigma_L: Array) -> Array:
    """Probability of each interval: of the law over sigma itself, if nothing else has a say, else of the last stage."""
    stage, noise = schedule.stages(total_steps)[-1], schedule.noise
    if isinstance(noise, SigmaLaw) and np.allclose(noise.probabilities(stage.levels), stage.probabilities):
        return noise.probabilities(np.exp(ln_sigma_L))
    return stage.mass(ln_sigma_L)
