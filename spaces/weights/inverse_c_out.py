from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from spaces.arrays import Array
from spaces.weight import Weight


@dataclass(frozen=True, kw_only=True)
class InverseCOut(Weight):
    """1/c_out = sqrt(t**2 + sd**2)/(t sd), the root of edm's. c_out: Karras et al. 2022 (arXiv:2206.00364).

    sd: sigma_data. An option of NVlabs/FastGen, read in its code (`c_out`): an error of the network F counts the same
    at every level. No published figure is known.
    """

    FORMULA: ClassVar[str] = "sqrt(t^2 + sigma_data^2) / (t * sigma_data)"

    def of_pairs(self, t_M: Array, r_M: Array, sigma_data: float) -> Array:
        return np.sqrt(np.square(t_M) + sigma_data**2) / (t_M * sigma_data)
