"""How much a pair of noise levels counts in the loss. Axis M: pairs of student level t and teacher level r, r < t.

A new weight is one file in `spaces/weights/`: a frozen dataclass on `Weight` with its FORMULA and `of_pairs`. See
`spaces/weights/inverse_gap.py`. What is minimised in expectation is the product of law and weight; the law alone says
how much of each batch a level gets, and with it how noisy the gradient is.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from spaces.arrays import Array
from spaces.choice import Choice
from spaces.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Weight(Choice, ABC):
    """A factor of the loss of each image, the same for all images at one pair of levels.

    FORMULA: in t, r, sigma_data and the options, as exports state it: numbers, + - * / ^, sqrt, exp, log, min, max,
    interp (x, increasing x_K, y_K: linear between, constant outside); u where it is learned.
    OF_GAP: whether it is of t - r, and says nothing where there is no teacher.
    LEARNED: whether it has a factor e^-u(t) that training learns, see `spaces/weights/learned_uncertainty.py`.
    """

    FORMULA: ClassVar[str]
    OF_GAP: ClassVar[bool] = False
    LEARNED: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.LEARNED and cls.__module__ != "spaces.weights.learned_uncertainty":
            raise TypeError(
                f"{cls.__name__}: only the weight learned_uncertainty is learned. Leave LEARNED out"
            )

    @abstractmethod
    def of_pairs(self, t_M: Array, r_M: Array, sigma_data: float) -> Array:
        """weight_M, float64, finite and above 0, elementwise; where it is learned that of u = 0."""


WEIGHTS: Registry[Weight] = Registry("spaces.weights", Weight, "weight")  # type: ignore[type-abstract]
