"""Proposals that are no news: schedules that train the same as one that was trained already."""

import numpy as np
from numpy.typing import NDArray

from spaces import NoiseSchedule, equality

# Positions in the run at which the numbers of intervals are compared first: far cheaper than the distance itself,
# of which their relative difference is a lower bound (up to where within a slot they change).
_POSITIONS, _MARGIN = 32, 0.1


class KnownSchedules:
    """Schedules by trial number, to be asked which of them equals another one.

    total_steps: the full budget K. tolerance: see `spaces.equality.equal`.
    """

    def __init__(self, total_steps: int, tolerance: float = equality.TOLERANCE):
        self._total_steps = total_steps
        self._tolerance = tolerance
        self._step_P = (np.arange(_POSITIONS, dtype=np.int64) * 2 + 1) * total_steps // (2 * _POSITIONS)
        self._schedules: dict[int, NoiseSchedule] = {}
        self._intervals: dict[int, NDArray[np.int64]] = {}

    def add(self, number: int, schedule: NoiseSchedule) -> None:
        """Trial `number` trains `schedule`."""
        if number not in self._schedules:
            self._schedules[number] = schedule
            self._intervals[number] = self._intervals_of(schedule)

    def remove(self, number: int) -> None:
        """Trial `number` did not train it after all."""
        self._schedules.pop(number, None)
        self._intervals.pop(number, None)

    def find(self, schedule: NoiseSchedule) -> int | None:
        """The first trial whose schedule trains the same, None if there is none."""
        if not self._schedules:
            return None
        mine_P = self._intervals_of(schedule)
        numbers = list(self._intervals)
        theirs_SP = np.stack([self._intervals[number] for number in numbers])
        apart_S = (np.abs(theirs_SP - mine_P) / np.maximum(theirs_SP, mine_P)).mean(axis=1)
        for index in np.flatnonzero(apart_S <= self._tolerance + _MARGIN):
            number = numbers[index]
            if equality.equal(schedule, self._schedules[number], self._total_steps, self._tolerance):
                return number
        return None

    def _intervals_of(self, schedule: NoiseSchedule) -> NDArray[np.int64]:
        return schedule.curriculum.num_levels(self._step_P, self._total_steps) - 1
