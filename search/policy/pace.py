"""How fast a search trains: steps over the time that trials hold their slots for them."""

import math
from collections import deque
from typing import NamedTuple

from search.policy.budget import Spending

# The pace is that of the last ten minutes, in a longer search of its latter half: several rungs of every slot fall into
# it, and with them what is no training, such as measuring.
WINDOW_SECONDS, WINDOW_SHARE = 600.0, 0.5
_SAMPLES = 200  # to a window
_FEWEST = 10  # samples whose halves are compared


class _Spent(NamedTuple):
    """As in `Spending`. trials, own_steps: in the search's own setting."""

    wall: float
    steps: int
    trials: float
    own_steps: int

    @classmethod
    def of(cls, spending: Spending) -> "_Spent":
        return cls(spending.wall, spending.steps, spending.own_trials, spending.own_steps)


class Pace:
    """Told what the search has spent, from time to time.

    Counted from the first steps that are heard of: workers start once. What former drivers have spent counts until the
    window is full.
    """

    def __init__(self, spending: Spending):
        self._former = _Spent.of(spending)
        self._now = self._former
        self._kept: deque[_Spent] = deque()

    def heard(self, spending: Spending) -> None:
        """What is spent by now."""
        self._now = _Spent.of(spending)
        if not self._kept:
            if self._now.steps > self._former.steps:
                self._kept.append(self._now)
                self._first = self._now
            return
        window = max(WINDOW_SECONDS, WINDOW_SHARE * (self._now.wall - self._first.wall))
        if self._now.wall - self._kept[-1].wall >= window / _SAMPLES:
            self._kept.append(self._now)
        while len(self._kept) > 1 and self._kept[1].wall <= self._now.wall - window:
            self._kept.popleft()

    @property
    def window(self) -> tuple[int, float]:
        """(steps of all slots together, wall seconds) of the window."""
        if not self._kept:
            return 0, 0.0
        return self._now.steps - self._kept[0].steps, self._now.wall - self._kept[0].wall

    @property
    def slot_seconds_per_step(self) -> float | None:
        """Seconds of one slot for one step, whatever they were spent on; None before a step is done.

        Of the search's own setting; of all that was spent there, where it trains in others by now.
        """
        steps, seconds = 0, 0.0
        if self._kept:
            first = self._kept[0]
            steps, seconds = self._now.own_steps - first.own_steps, self._now.trials - first.trials
        if not self._kept or self._kept[0] is self._first:
            steps, seconds = steps + self._former.own_steps, seconds + self._former.trials
        if not steps:
            steps, seconds = self._now.own_steps, self._now.trials
        return seconds / steps if steps else None

    @property
    def unsteadiness(self) -> float:
        """|ln| of how much slower or quicker the latter half of the window was: others use the machines, or do no more.

        0 before both halves are known.
        """
        if len(self._kept) < _FEWEST:
            return 0.0
        former, latter = _between(self._kept[0], self._middle), _between(self._middle, self._now)
        return abs(math.log(latter / former)) if former and latter else 0.0

    @property
    def _middle(self) -> _Spent:
        middle = (self._kept[0].wall + self._now.wall) / 2
        return min(self._kept, key=lambda spent: abs(spent.wall - middle))


def _between(before: _Spent, after: _Spent) -> float | None:
    steps = after.own_steps - before.own_steps
    return (after.trials - before.trials) / steps if steps else None
