"""ASHA that lets pass what it cannot tell from the cut."""

import math
from dataclasses import dataclass
from typing import ClassVar

from search.record import has_diverged
from search.stopping._cut import asha_cut, check_reduction_factor
from search.stopping_rule import Rung, StoppingRule


@dataclass(frozen=True, kw_only=True)
class ASHAMargin(StoppingRule):
    """ASHA, but a trial within the measured seed noise of the cut goes on: stop if it is surely worse.

    Stop if ln(value) - ln(cut) > margin * sqrt(2) * noise. The cut is another trial's value, and the
    difference of two values, each with the standard deviation `noise` of ln(objective) between seeds, has
    sqrt(2) times that. So of trials as good as the one at the cut a share Phi(-margin) is stopped: half of
    them at 0, which is plain ASHA, 16 % at 1, 2 % at 2. Where trials share a seed and its luck, they differ by less,
    and the margin is on the safe side. After the idea of PASHA (Bohdal et al. 2023, arXiv:2207.06940) that ranks
    within the noise are ties; its growing budget is not used here.

    Where the noise is not known (`Rung.noise` is None), this is plain ASHA.

    margin: in standard deviations of the difference of two trials.
    """

    rungs: tuple[float, ...] = (0.5, 0.75)
    reduction_factor: float = 2.0
    margin: float = 1.0

    NEEDS_RUNGS: ClassVar[bool] = True
    USES_NOISE: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_reduction_factor(self.reduction_factor)
        if not self.margin >= 0:
            raise ValueError(f"`margin >= 0` must hold, but got margin={self.margin}")

    def stops(self, number: int, rung: Rung) -> bool:
        value = rung.values[number]
        if has_diverged(value):
            return True
        cut = asha_cut(number, rung, self.reduction_factor)
        if cut is None or value <= cut:
            return False
        if rung.noise is None or cut <= 0:  # no logarithm
            return True
        return math.log(value / cut) > self.margin * math.sqrt(2) * rung.noise
