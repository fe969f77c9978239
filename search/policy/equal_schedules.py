"""Proposals that are no news: schedules that train the same as one that was trained already."""

import numpy as np
from numpy.typing import NDArray

from spaces import NoiseSchedule, equality

# Two cheap lower bounds of the distance come first, since the distance itself takes milliseconds: the relative
# difference of the numbers of intervals at some positions in the run (up to where within a slot they change), and
# that of the sketches (up to rounding).
_POSITIONS, _MARGIN = 32, 0.1
_ROUNDING = 1e-4


class KnownSchedules:
    """Schedules by trial number, to be asked which of them equals another one.

    total_steps: the full budget K. tolerance: see `spaces.equality.equal`.
    """

    def __init__(self, total_steps: int, tolerance: float = equality.TOLERANCE):
        self._total_steps = total_steps
        self._tolerance = tolerance
        self._step_P = (np.arange(_POSITIONS, dtype=np.int64) * 2 + 1) * total_steps // (2 * _POSITIONS)
        self._schedules: dict[int, NoiseSchedule] = {}
        self._sketches: dict[int, NDArray[np.float32]] = {}  # made when first needed
        # float32: for ten thousand trials .5 ms, as whole numbers 4 ms.
        self._intervals_SP = np.empty((64, _POSITIONS), dtype=np.float32)
        self._numbers: list[int] = []  # trial number of each row, also of those that are gone

    def add(self, number: int, schedule: NoiseSchedule) -> None:
        """Trial `number` trains `schedule`."""
        if number in self._schedules:
            return
        row = len(self._numbers)
        if row == len(self._intervals_SP):
            self._intervals_SP = np.concatenate([self._intervals_SP, np.empty_like(self._intervals_SP)])
        self._intervals_SP[row] = self._intervals_of(schedule)
        self._schedules[number] = schedule
        self._numbers.append(number)

    def remove(self, number: int) -> None:
        """Trial `number` did not train it after all."""
        self._schedules.pop(number, None)

    def find(self, schedule: NoiseSchedule) -> int | None:
        """The first trial whose schedule trains the same, None if there is none."""
        theirs_SP = self._intervals_SP[: len(self._numbers)]
        mine_P = self._intervals_of(schedule)
        apart_S = (np.abs(theirs_SP - mine_P) / np.maximum(theirs_SP, mine_P)).mean(axis=1)
        rows = np.flatnonzero(apart_S <= self._tolerance + _MARGIN)
        near = [self._numbers[row] for row in rows if self._numbers[row] in self._schedules]
        if not near:
            return None
        sketch = self._sketch_of(schedule)
        theirs = np.stack([self._sketch(number) for number in near])
        apart = np.abs(theirs - sketch).sum(axis=1) / 2
        for index in np.flatnonzero(apart <= self._tolerance + _ROUNDING):
            number = near[index]
            if equality.equal(schedule, self._schedules[number], self._total_steps, self._tolerance):
                return number
        return None

    def _intervals_of(self, schedule: NoiseSchedule) -> NDArray[np.float32]:
        return (schedule.curriculum.num_levels(self._step_P, self._total_steps) - 1).astype(np.float32)

    def _sketch(self, number: int) -> NDArray[np.float32]:
        if number not in self._sketches:
            self._sketches[number] = self._sketch_of(self._schedules[number])
        return self._sketches[number]

    def _sketch_of(self, schedule: NoiseSchedule) -> NDArray[np.float32]:
        return equality.sketch(equality.features(schedule, self._total_steps))
