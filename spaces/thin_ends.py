"""How much of a training is below and above the data's own scale: from the law alone, what may fail in other networks.

docs/why-schedules-transfer.md has the experiments behind it, and how often it is right and wrong.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from spaces.schedule import NoiseSchedule

LOW, HIGH = 0.6, 2.0  # in units of sigma_data
# Of the draws below LOW, and of those above HIGH; with fewer, schedules failed in another network.
LEAST = 0.05
_FAR = 1e12  # below and above every grid


@dataclass(frozen=True)
class Ends:
    """Shares of all draws of a training: below is of noise levels below `low`, above of those above `high`."""

    low: float
    high: float
    below: float
    above: float


def ends(schedule: NoiseSchedule, total_steps: int, sigma_data: float = 0.5) -> Ends:
    """The ends of a schedule, cut at LOW and HIGH sigma_data, over a training of total_steps."""
    return shares(schedule, total_steps, LOW * sigma_data, HIGH * sigma_data)


@lru_cache(maxsize=256)
def shares(schedule: NoiseSchedule, total_steps: int, low: float, high: float) -> Ends:
    """The shares of draws below sigma `low` and above `high` over a training of total_steps.

    What is drawn is a pair of neighbouring levels, which counts as spread evenly over the ln sigma between them. Of a
    law that adapts in training its start is taken.
    """
    stages = schedule.stages(total_steps)
    steps = np.diff([*(stage.start_step for stage in stages), total_steps])
    edges = np.log([1 / _FAR, low, high, _FAR])
    masses = [stage.mass(edges) for stage in stages]
    below, above = (
        sum(num * mass[part] for num, mass in zip(steps, masses, strict=True)) / total_steps
        for part in (0, 2)
    )
    return Ends(low, high, float(below), float(above))


def thin_end(schedule: NoiseSchedule, total_steps: int, sigma_data: float = 0.5) -> str | None:
    """The rest of a sentence about a schedule that has less than LEAST of its draws at an end.

    None where both ends have more, and for a law that adapts in training: its start says little of the rest.
    """
    if schedule.noise.ADAPTIVE:
        return None
    found = ends(schedule, total_steps, sigma_data)
    share, where = min(
        (found.below, f"below sigma {found.low:g}"), (found.above, f"above sigma {found.high:g}")
    )
    if share >= LEAST:
        return None
    return _why_it_may_fail(share, where)


def _why_it_may_fail(share: float, where: str) -> str:
    return (
        f"has {100 * share:.2g} % of its draws {where}: schedules with less than {100 * LEAST:g} % there failed in "
        "another network (docs/why-schedules-transfer.md)"
    )
