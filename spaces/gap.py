"""How far below the student's level t the teacher's level r is.

A new gap is one file in `spaces/gaps/`: a frozen dataclass on `Gap` with its RULE, `teacher` and, where it changes over
the run, `stages_at` and `most_stages`. See `spaces/gaps/constant_ratio.py`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from spaces.arrays import Array
from spaces.choice import Choice
from spaces.curriculum import Steps
from spaces.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Gap(Choice, ABC):
    """A rule for r, given t.

    CONTINUOUS: whether t is drawn from the law itself and r computed from it; else both are neighbours on a grid, which
    the gap adjacent alone says.
    RULE: r in t, sigma_min, the options and the stage s, as exports state it.
    """

    CONTINUOUS: ClassVar[bool] = True
    RULE: ClassVar[str]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if not cls.CONTINUOUS and cls.__module__ != "spaces.gaps.adjacent":
            raise TypeError(f"{cls.__name__}: only the gap adjacent is of a grid. Leave CONTINUOUS out")

    @abstractmethod
    def teacher(self, t_M: Array, sigma_min: float, stage: int) -> Array:
        """r_M, float64, sigma_min <= r < t, for levels t > sigma_min in a stage, counted from 0.

        Elementwise, and in no stage below that of the stage before: the last one is the finest.
        """

    @property
    def most_stages(self) -> int:
        """How many stages there are, whatever the budget."""
        return 1

    def stages_at(self, step_K: Steps, total_steps: int) -> Steps:
        """The stage that each step belongs to, elementwise. One unless overridden."""
        return np.zeros_like(step_K)


GAPS: Registry[Gap] = Registry("spaces.gaps", Gap, "gap")  # type: ignore[type-abstract]
