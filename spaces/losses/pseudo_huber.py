import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from optuna.distributions import BaseDistribution, FloatDistribution

from spaces.loss import Constants, Loss

HUBER_C_BOUNDS = (1e-9, 1e3)
ICT_HUBER_C = 0.00054


@dataclass(frozen=True, kw_only=True)
class PseudoHuber(Loss):
    """sqrt(s + c**2) - c. iCT, Song & Dhariwal 2023 (arXiv:2310.14189), of the norm of a whole image.

    huber_c: c per square root of the number of values of an image; without, that of `training`, whose default .00054
    is iCT's. c = 0, ECT's plain L2 norm, is 1e-9 up to rounding. Published effect: ADCM's Table 8 (arXiv:2510.17266,
    read there), CIFAR-10, c = 3e-4 to 3 by tens: FID 3.44, 3.42, 3.16, 4.42, 5.23, which is huber_c 5.4e-6 to .054.
    """

    huber_c: float | None = None

    TEXT: ClassVar[str] = "pseudo-Huber of the per-image L2 norm"
    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {"huber_c": HUBER_C_BOUNDS}
    SPACE: ClassVar[Mapping[str, BaseDistribution]] = {"huber_c": FloatDistribution(1e-5, 1e-2, log=True)}

    def constants(self, num_values: int, huber_c: float) -> Constants:
        c = (huber_c if self.huber_c is None else self.huber_c) * math.sqrt(num_values)
        return Constants(1.0, c**2, c)

    def huber_c_of(self, training: float) -> float:
        return training if self.huber_c is None else self.huber_c

    def describe(self) -> str:
        """Without the constant where it is the training's."""
        return "pseudo_huber" if self.huber_c is None else super().describe()
