from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from spaces.arrays import Array
from spaces.weight import Weight


@dataclass(frozen=True, kw_only=True)
class InverseTSquared(Weight):
    """1/t**2, the signal-to-noise ratio of unit data. An option of NVlabs/FastGen (EDM: arXiv:2206.00364).

    Read in its code (`sigma_sq`); no published figure for consistency training is known.
    """

    FORMULA: ClassVar[str] = "1 / t^2"

    def of_pairs(self, t_M: Array, r_M: Array, sigma_data: float) -> Array:
        return 1 / np.square(t_M)
