from dataclasses import dataclass
from typing import ClassVar

from spaces.arrays import Array
from spaces.weight import Weight
from spaces.weights.edm import EDM

_STARTS_AS = EDM()


@dataclass(frozen=True, kw_only=True)
class LearnedUncertainty(Weight):
    """e^-u(t) times edm's, with u(t) learned beside the model. EDM2, Karras et al. 2024, Eq. 21 (arXiv:2312.02696).

        e^-u(t) weight distance / (number of values of an image) + u(t)

    is minimised over the network and u. At the optimum of u, e^u is the expected loss at t, and all levels count the
    same: the weight has come to 1 / E[distance | t], whatever it started as. u starts at 0, is linear in Fourier
    features of ln(t)/4 and trained with the network's optimiser (`trainable.training.uncertainty`). What the schedule
    says at the end, and what an export has, is the weight that it has come to, tabulated.

    Read in NVlabs/edm2 (`EDM2Loss`, with this start; u linear in 128 random features) and, as sCM's (Lu & Song 2024,
    arXiv:2410.11081), in NVlabs/FastGen (`_scm_pred_to_loss`; u linear in the network's embedding of t); sCM's own text
    could not be had. With `squared_l2` and the gap constant_ratio the start is sCM's loss of F in continuous time up to
    a factor, which u takes up [derived here], but for its normalised tangent.
    """

    FORMULA: ClassVar[str] = f"exp(-u) * {EDM.FORMULA}"
    LEARNED: ClassVar[bool] = True

    def of_pairs(self, t_M: Array, r_M: Array, sigma_data: float) -> Array:
        return _STARTS_AS.of_pairs(t_M, r_M, sigma_data)
