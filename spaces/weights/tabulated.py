import itertools
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from spaces.arrays import Array
from spaces.weight import Weight

MAX_KNOTS = 4096
_MOST = 80.0  # of |ln weight|: float32 holds e^88


@dataclass(frozen=True, kw_only=True)
class Tabulated(Weight):
    """Plain numbers, ln weight over ln t: what a learned one, as EDM2's (arXiv:2312.02696), has come to at the end.

    Linear between the numbers and constant outside them.
    log_t: increasing. log_weight: as many. The default is 1 everywhere.
    """

    log_t: tuple[float, ...] = (0.0,)
    log_weight: tuple[float, ...] = (0.0,)

    FORMULA: ClassVar[str] = "exp(interp(log(t), log_t, log_weight))"
    SEARCHED: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        num = len(self.log_t)
        if not 1 <= num <= MAX_KNOTS or len(self.log_weight) != num:
            raise ValueError(
                f"`log_t` and `log_weight` must be equally many numbers, 1 to {MAX_KNOTS}, but got {num} and "
                f"{len(self.log_weight)}"
            )
        rises = all(low < high for low, high in itertools.pairwise(self.log_t))
        if not rises or not all(map(math.isfinite, self.log_t)):
            raise ValueError("`log_t` must be finite and increasing")
        for value in self.log_weight:
            if not abs(value) <= _MOST:  # NaN fails too
                raise ValueError(f"`log_weight` must lie between -{_MOST:g} and {_MOST:g}, but got {value!r}")

    def of_pairs(self, t_M: Array, r_M: Array, sigma_data: float) -> Array:
        return np.exp(np.interp(np.log(t_M), self.log_t, self.log_weight))

    def describe(self) -> str:
        """The number of knots and the ends: `tabulated(knots=129, log_weight=-3.1..2)`."""
        low, high = min(self.log_weight), max(self.log_weight)
        return f"tabulated(knots={len(self.log_t)}, log_weight={low:.4g}..{high:.4g})"
