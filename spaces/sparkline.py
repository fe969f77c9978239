"""A schedule's density over ln sigma in one line of text, since the parameters of two families do not compare."""

from functools import lru_cache
from typing import Protocol

import numpy as np

from spaces.stage import Stage

_BLOCKS = " ▁▂▃▄▅▆▇█"
_WIDTH = 16
_STEPS = 200  # a nominal run: stages have about the same shares of one of any length

LEGEND = "|...|: how often the noise levels are trained, from ln sigma_min to ln sigma_max"


class Schedule(Protocol):
    """What is needed of a `NoiseSchedule`, which shows itself by this."""

    def __hash__(self) -> int: ...

    def stages(self, total_steps: int) -> tuple[Stage, ...]: ...

    def describe(self) -> str: ...


def with_density(schedule: Schedule) -> str:
    """The schedule in one line: `|▁▂▃| lognormal(...) rho=7 exponential(...)`."""
    return f"|{sparkline(schedule)}| {schedule.describe()}"


@lru_cache(maxsize=256)
def sparkline(schedule: Schedule) -> str:
    """How often each noise level is trained: 16 characters from ln sigma_min to ln sigma_max, mean over the run.

    The highest has full height.
    """
    stages = schedule.stages(_STEPS)
    starts = [*(stage.start_step for stage in stages), _STEPS]
    low, high = np.log(stages[0].levels[[0, -1]])
    edges = np.linspace(low, high, _WIDTH + 1)
    mass = np.zeros(_WIDTH)
    for stage, steps in zip(stages, np.diff(starts), strict=True):
        mass += steps * stage.mass(edges)
    heights = np.ceil(mass / mass.max() * (len(_BLOCKS) - 1) - 1e-9)
    heights[mass < 1e-3 * mass.max()] = 0  # only what is hardly trained at all is empty
    return "".join(_BLOCKS[int(height)] for height in heights)
