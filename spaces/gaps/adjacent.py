from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from spaces.arrays import Array
from spaces.gap import Gap


@dataclass(frozen=True, kw_only=True)
class Adjacent(Gap):
    """The next level below on the grid. Consistency training, Song et al. 2023 (arXiv:2303.01469), and iCT.

    Grid and curriculum say how far that is.
    """

    CONTINUOUS: ClassVar[bool] = False
    RULE: ClassVar[str] = "the next level of the grid below t"

    def teacher(self, t_M: Array, sigma_min: float, stage: int) -> Array:
        # t_M are all levels of the stage above sigma_min, in order.
        return np.concatenate([[sigma_min], t_M[:-1]])
