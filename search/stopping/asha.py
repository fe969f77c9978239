"""Asynchronous successive halving, the variant that stops."""

from dataclasses import dataclass
from typing import ClassVar

from search.record import has_diverged
from search.stopping._cut import asha_cut, check_reduction_factor
from search.stopping_rule import Rung, StoppingRule


@dataclass(frozen=True, kw_only=True)
class ASHA(StoppingRule):
    """Stop the worse trials at each rung, without waiting for the others (Li et al. 2020, arXiv:1810.05934).

    At a rung a trial goes on if it is among the best 1/reduction_factor of the values seen there so far,
    so the first always does. As in Ray Tune, the cut is a percentile, and nothing is paused; unlike there,
    rungs are fractions of the budget, the decision depends on nothing but the values at the rung, and diverged
    trials do not move the cut.

    On the digits the rank correlation of a rung with the final value is .65 at 1/4 of the budget, .91 at 1/2 and .98 at
    3/4 over all schedules, but .07, .35 and .77 among the best quarter (docs/search-quality.md): early rungs tell what
    is bad, the last one what is good.
    """

    rungs: tuple[float, ...] = (0.5, 0.75)
    reduction_factor: float = 2.0

    NEEDS_RUNGS: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_reduction_factor(self.reduction_factor)

    def stops(self, number: int, rung: Rung) -> bool:
        value = rung.values[number]
        if has_diverged(value):
            return True
        cut = asha_cut(number, rung, self.reduction_factor)
        return cut is not None and value > cut
