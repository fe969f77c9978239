"""How many noise levels are used when, and which of them. Axes: K optimizer steps, M intervals.

A new curriculum is one file in `spaces/curricula/`: a frozen dataclass on `Curriculum` with a `levels_at`,
the most levels and stages it has, its options, their BOUNDS and the SPACE to search. See
`spaces/curricula/constant.py`; `spaces/curricula/snr_timestep.py` changes the probabilities over time as well.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from spaces.arrays import Array, array_of, tensor_of
from spaces.choice import Choice
from spaces.lazy_torch import Tensor
from spaces.registry import Registry

Steps: TypeAlias = NDArray[np.int64]

MAX_INTERVALS = 16_384  # 2**14: ten times what the literature uses; bounds the memory of a stage
MAX_STAGE_VALUES = 4_000_000  # of all stages together: 0.1 GB as JSON


@dataclass(frozen=True, kw_only=True)
class Curriculum(Choice, ABC):
    """N(k): number of noise levels (one more than intervals) at step k of a budget of K steps.

    K is always the full budget of the trial, never the rung at which it may be stopped: a trial
    that was stopped early has run the beginning of the same schedule.
    """

    @abstractmethod
    def levels_at(self, step_K: Steps, total_steps: int) -> Steps:
        """N(k) for each step k in 0..total_steps, elementwise."""

    @property
    @abstractmethod
    def most_levels(self) -> int:
        """The largest N, whatever the budget; or more, where only a bound is known."""

    @property
    @abstractmethod
    def most_stages(self) -> int:
        """How many stages there are, runs of steps of equal N and phase, whatever the budget; or more."""

    def most_values(self, total_steps: int) -> int:
        """How many values an export of the stages has, see `values_of`; or more."""
        stages = min(total_steps, self.most_stages)
        return values_of(stages, stages * self.most_levels)

    def phases_at(self, step_K: Steps, total_steps: int) -> Steps:
        """The phase, counted from 0, that each step belongs to, elementwise. One phase unless overridden."""
        return np.zeros_like(step_K)

    def trained(self, probability_M: Array, phase: int) -> Array:
        """The probabilities trained in a phase, sum 1, from those of the schedule.

        The same unless this, in NumPy, or `reweighted`, in torch, is overridden (see `spaces.arrays`).
        """
        if type(self).reweighted is Curriculum.reweighted:
            return probability_M
        return array_of(self.reweighted(tensor_of(probability_M), phase))

    def reweighted(self, probability_M: Tensor, phase: int) -> Tensor:
        """`trained`, from and to tensors."""
        return tensor_of(self.trained(array_of(probability_M), phase))

    @overload
    def num_levels(self, step: int, total_steps: int) -> int: ...
    @overload
    def num_levels(self, step: Steps, total_steps: int) -> Steps: ...
    def num_levels(self, step: int | Steps, total_steps: int) -> int | Steps:
        """2 <= N(k) <= most_levels for one step (an int) or for many (int64 array, same shape)."""
        if total_steps < 1:
            raise ValueError(f"`total_steps >= 1` must hold, but got total_steps={total_steps}")
        levels = self.levels_at(np.atleast_1d(np.asarray(step, dtype=np.int64)), total_steps)
        for found in (levels.min(initial=2), levels.max(initial=2)):
            if not 2 <= found <= self.most_levels:
                raise ValueError(
                    f"`2 <= N(k) <= {self.most_levels}` must hold, but {self.describe()} gives N={found}"
                )
        return levels if isinstance(step, np.ndarray) else int(levels[0])


def sum_of_levels(low: int, high: int) -> int:
    """Of stages that have each N from low to high once."""
    return (low + high) * (high + 1 - low) // 2


def values_of(num_stages: int, num_levels: int) -> int:
    """Of an export of stages that have so many levels together: levels, probabilities, and what holds them."""
    return 2 * num_levels + 3 * num_stages


CURRICULA: Registry[Curriculum] = Registry("spaces.curricula", Curriculum, "curriculum")  # type: ignore[type-abstract]
