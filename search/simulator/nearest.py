"""Which recorded schedule stands for a proposed one: the nearest, by what the training sees of it.

Training meets a schedule only through the pairs of levels that it draws at each step: how often each region of ln
sigma is trained, and how far apart the two levels of a pair are there. Two schedules that agree in both train the
same weights, whatever their families and options. So the distance is

    d = mean over the budget of [ TV(p, p') + LEVELS_WEIGHT |log2 M - log2 M'| ]

p: density over ln sigma, an interval's probability spread evenly over it. TV: total variation, half the L1
distance, in [0, 1]: the share of a batch that the two draw at different places. M: intervals; at equal density
one doubling of M halves the steps between teacher and student everywhere.

LEVELS_WEIGHT is what one doubling is worth; `python -m bench.quality.search_quality` measures how well
others would predict.

Both are taken on a coarse copy of the schedule, NUM_CELLS steps long with NUM_BINS bins of ln sigma, because curricula
are defined on fractions of the budget. Axes: S schedules, C cells of the budget, B bins, X both, N levels.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from spaces import NoiseSchedule

NUM_CELLS, NUM_BINS = 32, 40
LEVELS_WEIGHT = 0.1
# Bins of ln sigma; what lies outside counts to the first and the last.
_EDGES = np.concatenate([[-np.inf], np.linspace(np.log(0.001), np.log(200.0), NUM_BINS + 1)[1:-1], [np.inf]])


@lru_cache(maxsize=4096)
def features(schedule: NoiseSchedule) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(mass_CB, log2 of the number of intervals_C): what training sees of the schedule."""
    stages = schedule.stages(NUM_CELLS)
    mass_CB = np.empty((NUM_CELLS, NUM_BINS))
    log_intervals_C = np.empty(NUM_CELLS)
    ends = [stage.start_step for stage in stages[1:]] + [NUM_CELLS]
    for stage, end in zip(stages, ends, strict=True):
        cells = slice(stage.start_step, end)
        mass_CB[cells] = stage.mass(_EDGES)
        log_intervals_C[cells] = np.log2(stage.num_levels - 1)
    return mass_CB, log_intervals_C


class Nearest:
    """Finds the nearest of given schedules."""

    def __init__(self, schedules: Sequence[NoiseSchedule], levels_weight: float = LEVELS_WEIGHT):
        self._index = {schedule: index for index, schedule in reversed(list(enumerate(schedules)))}
        self._levels_weight = levels_weight
        seen = [features(schedule) for schedule in schedules]
        self._mass_SX = np.stack([mass_CB.ravel() for mass_CB, _ in seen])
        self._log_intervals_SC = np.stack([log_intervals_C for _, log_intervals_C in seen])

    def distances(self, schedule: NoiseSchedule) -> NDArray[np.float64]:
        """d to each of them, (S,)."""
        mass_CB, log_intervals_C = features(schedule)
        tv_S = cdist(self._mass_SX, mass_CB.reshape(1, -1), "cityblock")[:, 0] / (2 * NUM_CELLS)
        levels_S = np.abs(self._log_intervals_SC - log_intervals_C).mean(axis=1)
        return tv_S + self._levels_weight * levels_S

    def __call__(self, schedule: NoiseSchedule) -> int:
        """Index of the nearest; of a recorded schedule its own."""
        found = self._index.get(schedule)
        if found is None:
            found = self._index[schedule] = int(self.distances(schedule).argmin())
        return found
