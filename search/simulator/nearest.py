"""Which recorded schedule stands for a proposed one: the nearest, by what the training sees of it.

Training meets a schedule only through the pairs of levels that it draws at each step: how often each region of ln
sigma is trained, and how far apart the two levels of a pair are there. Two schedules that agree in both train the
same weights, whatever their families and options. So the distance is

    d = mean over the budget of [ TV(p, p') + LEVELS_WEIGHT |log2 M - log2 M'| ]

p: density over ln sigma, an interval's probability spread evenly over it. TV: total variation, half the L1
distance, in [0, 1]: the share of a batch that the two draw at different places. M: intervals; at equal density
one doubling of M halves the steps between teacher and student everywhere.

LEVELS_WEIGHT is what one doubling is worth, GAPS_WEIGHT where schedules have other gaps, weights or losses;
`python -m bench.quality.search_quality` measures how well others would predict.

Of schedules with another gap, weight or loss it also meets the place of the gaps and what each pair counts. Where some
of those recorded have one, the distance is

    d = mean of [ TV(p, p') + TV(w, w') + TV(h, h') + GAPS_WEIGHT |log2 M - log2 M'| ] + HUBER_C_WEIGHT |ln c - ln c'|

with M the number of gaps of teacher and student that follow one another from sigma_min to sigma_max, h where they are,
w the density of law times weight, and c the pseudo-Huber constant.

All are taken on a coarse copy of the schedule, NUM_CELLS steps long with NUM_BINS bins of ln sigma, because curricula
are defined on fractions of the budget. Axes: S schedules, C cells of the budget, B bins, X both, N levels, D densities.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from spaces import NoiseSchedule
from spaces.losses.pseudo_huber import ICT_HUBER_C

NUM_CELLS, NUM_BINS = 32, 40
LEVELS_WEIGHT = 0.1
GAPS_WEIGHT, HUBER_C_WEIGHT = 0.4, 0.02
_LARGE_C = 1.0  # where a loss without a pseudo-Huber constant stands
# Bins of ln sigma; what lies outside counts to the first and the last.
_EDGES = np.concatenate([[-np.inf], np.linspace(np.log(0.001), np.log(200.0), NUM_BINS + 1)[1:-1], [np.inf]])


class Features(NamedTuple):
    """What training sees of a schedule. log_intervals_C: log2 of their number. log_c: of its pseudo-Huber constant."""

    densities_DCB: NDArray[np.float64]
    log_intervals_C: NDArray[np.float64]
    log_c: float


@lru_cache(maxsize=4096)
def features(schedule: NoiseSchedule, whole: bool = False) -> Features:
    """whole: with the densities of law times weight and of the gaps beside that of the law."""
    stages = schedule.stages(NUM_CELLS)
    densities_DCB = np.empty((3 if whole else 1, NUM_CELLS, NUM_BINS))
    log_intervals_C = np.empty(NUM_CELLS)
    ends = [stage.start_step for stage in stages[1:]] + [NUM_CELLS]
    for stage, end in zip(stages, ends, strict=True):
        cells = slice(stage.start_step, end)
        densities_DCB[0, cells] = stage.mass(_EDGES)
        log_intervals_C[cells] = np.log2(stage.num_levels - 1)
        if whole:
            count_B = schedule.intervals(stage, _EDGES)
            densities_DCB[1, cells] = schedule.minimised(stage).mass(_EDGES)
            densities_DCB[2, cells] = count_B / count_B.sum()
            log_intervals_C[cells] = np.log2(count_B.sum())
    log_c = math.log(schedule.loss.huber_c_of(ICT_HUBER_C) or _LARGE_C)
    return Features(densities_DCB, log_intervals_C, log_c)


class Nearest:
    """Finds the nearest of given schedules. levels_weight: None: LEVELS_WEIGHT or GAPS_WEIGHT."""

    def __init__(self, schedules: Sequence[NoiseSchedule], levels_weight: float | None = None):
        self._index = {schedule: index for index, schedule in reversed(list(enumerate(schedules)))}
        self._whole = any(schedule.unusual for schedule in schedules)
        usual = GAPS_WEIGHT if self._whole else LEVELS_WEIGHT
        self._levels_weight = usual if levels_weight is None else levels_weight
        seen = [features(schedule, self._whole) for schedule in schedules]
        self._densities_SX = np.stack([one.densities_DCB.ravel() for one in seen])
        self._log_intervals_SC = np.stack([one.log_intervals_C for one in seen])
        self._log_c_S = np.array([one.log_c for one in seen])

    def distances(self, schedule: NoiseSchedule) -> NDArray[np.float64]:
        """d to each of them, (S,)."""
        one = features(schedule, self._whole)
        tv_S = cdist(self._densities_SX, one.densities_DCB.reshape(1, -1), "cityblock")[:, 0] / (
            2 * NUM_CELLS
        )
        levels_S = np.abs(self._log_intervals_SC - one.log_intervals_C).mean(axis=1)
        found_S = tv_S + self._levels_weight * levels_S
        return found_S + HUBER_C_WEIGHT * np.abs(self._log_c_S - one.log_c) if self._whole else found_S

    def __call__(self, schedule: NoiseSchedule) -> int:
        """Index of the nearest; of a recorded schedule its own."""
        found = self._index.get(schedule)
        if found is None:
            found = self._index[schedule] = int(self.distances(schedule).argmin())
        return found
