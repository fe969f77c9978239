from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from spaces.arrays import Array
from spaces.weight import Weight


@dataclass(frozen=True, kw_only=True)
class Uniform(Weight):
    """1 for every pair. Original consistency training, Song et al. 2023 (arXiv:2303.01469).

    Read in openai/consistency_models and NVlabs/FastGen (`one`). ADCM's Table 7: FID 5.70 (arXiv:2510.17266, read
    there).
    """

    FORMULA: ClassVar[str] = "1"

    def of_pairs(self, t_M: Array, r_M: Array, sigma_data: float) -> Array:
        return np.ones_like(t_M)
