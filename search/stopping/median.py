"""The median rule."""

from dataclasses import dataclass
from statistics import fmean, median
from typing import ClassVar

from search.record import has_diverged
from search.stopping_rule import Rung, StoppingRule


@dataclass(frozen=True, kw_only=True)
class Median(StoppingRule):
    """Stop if the best value so far is worse than the median of the others' running averages (Vizier).

    Golovin et al. 2017 (doi:10.1145/3097983.3098043), section 3.2.1. The others are all trials that have
    reached this rung, in Vizier those that have finished. An average runs over the rungs up to this one. Because
    curves fall, it lies above their last values: at the first rung half of the trials are stopped, later few.
    """

    rungs: tuple[float, ...] = (0.5, 0.75)

    NEEDS_RUNGS: ClassVar[bool] = True

    def stops(self, number: int, rung: Rung) -> bool:
        if has_diverged(rung.values[number]):
            return True
        averages = [
            fmean(_so_far(other, rung))
            for other, value in rung.values.items()
            if other != number and not has_diverged(value)
        ]
        return bool(averages) and min(_so_far(number, rung)) > median(averages)


def _so_far(number: int, rung: Rung) -> list[float]:
    """The trial's values at this rung and at those below that it reported."""
    below = [values[number] for values in rung.earlier.values() if number in values]
    return [*below, rung.values[number]]
