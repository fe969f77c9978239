from dataclasses import dataclass
from typing import ClassVar

from spaces.arrays import Array
from spaces.weight import Weight


@dataclass(frozen=True, kw_only=True)
class InverseGap(Weight):
    """1/(t - r). iCT, Song & Dhariwal 2023, and ECT's code for CIFAR-10 (arXiv:2310.14189, arXiv:2406.14548).

    The derivative of f along t instead of its difference: the weighted norm tends to a limit as the gap closes. Read in
    locuslab/ect (branch main) and NVlabs/FastGen (`default`). ADCM's Table 7: FID 4.09 (arXiv:2510.17266, read there).
    """

    FORMULA: ClassVar[str] = "1 / (t - r)"
    OF_GAP: ClassVar[bool] = True

    def of_pairs(self, t_M: Array, r_M: Array, sigma_data: float) -> Array:
        return 1 / (t_M - r_M)
