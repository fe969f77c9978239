from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from spaces.arrays import Array
from spaces.weight import Weight


@dataclass(frozen=True, kw_only=True)
class EDM(Weight):
    """(t**2 + sd**2)/(t sd)**2 = 1/c_out**2. EDM's, Karras et al. 2022, Table 1 (arXiv:2206.00364); sd: sigma_data.

    c_out is EDM's, with its boundary at 0. Read in ECT's code for ImageNet-64 (locuslab/ect, branch imgnet: 1/t**2 + 4
    at sd .5) and in NVlabs/FastGen (`c_out_sq`, beside a pseudo-Huber constant of .06).
    """

    FORMULA: ClassVar[str] = "(t^2 + sigma_data^2) / (t * sigma_data)^2"

    def of_pairs(self, t_M: Array, r_M: Array, sigma_data: float) -> Array:
        return (np.square(t_M) + sigma_data**2) / np.square(t_M * sigma_data)
