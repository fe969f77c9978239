from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from spaces.heun import MAX_STEPS, num_evaluations
from spaces.loss import Constants, Loss


@dataclass(frozen=True, kw_only=True)
class Denoising(Loss):
    """s of denoised and clean image: a diffusion model. EDM, Karras et al. 2022, Table 1 (arXiv:2206.00364).

        ||D(x + t z, t) - x||_2^2,   D = c_skip x + c_out F(c_in x, ln(t)/4) with EDM's scalings

    They are a consistency model's with 0 for sigma_min, so one network starts as either. Read in NVlabs/edm (`EDMLoss`,
    `EDMPrecond`). There is no teacher, and so no gap: levels are drawn from the law between sigma_min and sigma_max;
    the weight, where none is named, is edm.

    heun_steps: steps of Heun's method by which such a model is sampled, from sigma_max to 0 over a Karras grid of rho
    7; 2 heun_steps - 1 network evaluations. EDM's for CIFAR-10 is 18.
    """

    heun_steps: int = 18

    TEXT: ClassVar[str] = "squared L2 norm of D(x + t z, t) - x"
    DENOISES: ClassVar[bool] = True
    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {"heun_steps": (1, MAX_STEPS)}

    @property
    def num_evaluations(self) -> int:
        return num_evaluations(self.heun_steps)

    def constants(self, num_values: int, huber_c: float) -> Constants:
        return Constants(0.0, 1.0, 0.0)
