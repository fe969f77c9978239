"""The law that a target can draw from and that is nearest to a schedule's, over ln sigma.

Axes: L levels, M = L - 1 intervals between them.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from search.errors import InputError
from spaces import LoadedSchedule, NoiseSchedule, SigmaLaw
from spaces.arrays import Array
from spaces.noise.lognormal import LogNormal
from spaces.special import ndtr

ENOUGH = 0.01  # total variation that a target may be off
NOMINAL_STEPS = 2000  # of a document without a training
_NUM_LEVELS = 1025

# P(ln sigma <= x) of a family with these options.
Cdf = Callable[[Array, Sequence[float]], Array]


class Law(NamedTuple):
    """One law of a family. total_variation: from the law of the schedule, between 0 and 1."""

    options: tuple[float, ...]
    total_variation: float


class Normal(NamedTuple):
    """ln sigma ~ N(mean, std^2). total_variation: from the law of the schedule, between 0 and 1."""

    mean: float
    std: float
    total_variation: float


class Trained:
    """The levels that a schedule trains at its end, as a law over ln sigma.

    ln_sigma_L: from the one end to the other, evenly. mass_M: the probability of each interval. mean, std: of ln sigma.
    """

    def __init__(self, schedule: NoiseSchedule, total_steps: int):
        grid = schedule.grid
        self.schedule = schedule
        self.ln_sigma_L = np.linspace(math.log(grid.sigma_min), math.log(grid.sigma_max), _NUM_LEVELS)
        self.mass_M = _mass(schedule, total_steps, self.ln_sigma_L)
        middle_M = (self.ln_sigma_L[1:] + self.ln_sigma_L[:-1]) / 2
        self.mean = float(self.mass_M @ middle_M)
        self.std = math.sqrt(float(self.mass_M @ (middle_M - self.mean) ** 2))

    @classmethod
    def by(cls, loaded: LoadedSchedule) -> "Trained":
        return cls(loaded.schedule, loaded.training.total_steps if loaded.training else NOMINAL_STEPS)

    def variation(self, cdf_L: Array, *, cut: bool = False) -> float:
        """Total variation from the law with these cdf values. cut: the target draws between the two ends alone."""
        inside_M = np.diff(cdf_L)
        inside = float(inside_M.sum())
        if not inside > 0:
            return 1.0
        if cut:
            return float(abs(self.mass_M - inside_M / inside).sum()) / 2
        return float(abs(self.mass_M - inside_M).sum() + 1 - inside) / 2

    def nearest(self, cdf: Cdf, starts: Sequence[Sequence[float]], *, cut: bool = False) -> Law:
        """The law of a family with the least total variation. starts: options to begin from; ([],) without options."""

        def variation(options: Sequence[float]) -> float:
            with np.errstate(all="ignore"):
                cdf_L = cdf(self.ln_sigma_L, options)
            return self.variation(cdf_L, cut=cut) if np.isfinite(cdf_L).all() else 1.0

        if not starts[0]:
            return Law((), variation(()))
        from scipy.optimize import minimize  # takes a fifth of a second, of which a lognormal needs nothing

        found = [minimize(variation, np.array(start, float), method="Nelder-Mead") for start in starts]
        best = min(found, key=lambda one: float(one.fun))
        return Law(tuple(map(float, best.x)), float(best.fun))

    def normal(self, *, cut: bool = False) -> Normal:
        """The nearest normal. A lognormal's own parameters, if its ends cut off no more than is allowed."""

        def cdf(x_L: Array, options: Sequence[float]) -> Array:
            return np.asarray(ndtr((x_L - options[0]) / math.exp(options[1])))

        noise = self.schedule.noise
        if isinstance(noise, LogNormal):
            own = self.variation(cdf(self.ln_sigma_L, (noise.p_mean, math.log(noise.p_std))), cut=cut)
            if own <= ENOUGH:
                return Normal(noise.p_mean, noise.p_std, own)
        (mean, ln_std), variation = self.nearest(cdf, [[self.mean, math.log(self.std)]], cut=cut)
        return Normal(mean, math.exp(ln_std), variation)


def refuse_unless_near(
    title: str, draws: str, nearest: str, total_variation: float, loaded: LoadedSchedule
) -> None:
    """InputError where the nearest that a target can draw is not near enough. draws: what it can."""
    if total_variation > ENOUGH:
        raise InputError(
            f"{title} draws {draws}, but the schedule's law is {loaded.schedule.describe()}. The nearest is {nearest}: "
            f"total variation {total_variation:.2g}, where {ENOUGH:g} is allowed. A law as it is can be drawn with "
            "--format torch"
        )


def _mass(schedule: NoiseSchedule, total_steps: int, ln_sigma_L: Array) -> Array:
    """Probability of each interval: of the law over sigma itself, if nothing else has a say, else of the last stage."""
    stage, noise = schedule.stages(total_steps)[-1], schedule.noise
    if isinstance(noise, SigmaLaw) and np.allclose(noise.probabilities(stage.levels), stage.probabilities):
        return noise.probabilities(np.exp(ln_sigma_L))
    return stage.mass(ln_sigma_L)
