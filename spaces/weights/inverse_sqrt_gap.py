from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from spaces.arrays import Array
from spaces.weight import Weight


@dataclass(frozen=True, kw_only=True)
class InverseSqrtGap(Weight):
    """1/sqrt(t - r), between uniform and inverse_gap. An option of NVlabs/FastGen, after ECT (arXiv:2406.14548).

    Read in its code (`sqrt`), where no recipe uses it; no published figure is known.
    """

    FORMULA: ClassVar[str] = "1 / sqrt(t - r)"
    OF_GAP: ClassVar[bool] = True

    def of_pairs(self, t_M: Array, r_M: Array, sigma_data: float) -> Array:
        return 1 / np.sqrt(t_M - r_M)
