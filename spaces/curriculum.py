"""How many noise levels are used when, and which of them. Axes: K optimizer steps, M intervals.

A new curriculum is one file in `spaces/curricula/`: a frozen dataclass on `Curriculum` with a
`levels_at`, its options, their BOUNDS and the SPACE to search. See `spaces/curricula/constant.py`;
`spaces/curricula/snr_timestep.py` changes the probabilities over time as well.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TypeAlias, overload

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from spaces.choice import Choice
from spaces.registry import Registry

Steps: TypeAlias = NDArray[np.int64]

MAX_INTERVALS = 16_384  # 2**14: ten times what the literature uses; bounds the memory of a stage


@dataclass(frozen=True, kw_only=True)
class Curriculum(Choice, ABC):
    """N(k): number of noise levels (one more than intervals) at step k of a budget of K steps.

    K is always the full budget of the trial, never the rung at which it may be stopped: a trial
    that was stopped early has run the beginning of the same schedule.
    """

    @abstractmethod
    def levels_at(self, step_K: Steps, total_steps: int) -> Steps:
        """N(k) for each step k in 0..total_steps, elementwise."""

    def phases_at(self, step_K: Steps, total_steps: int) -> Steps:
        """The phase, counted from 0, that each step belongs to, elementwise. One phase unless overridden."""
        return np.zeros_like(step_K)

    def reweighted(self, probability_M: Tensor, phase: int) -> Tensor:
        """The probabilities trained in a phase, sum 1, from those of the schedule. The same unless overridden."""
        return probability_M

    @overload
    def num_levels(self, step: int, total_steps: int) -> int: ...
    @overload
    def num_levels(self, step: Steps, total_steps: int) -> Steps: ...
    def num_levels(self, step: int | Steps, total_steps: int) -> int | Steps:
        """N(k) >= 2 for one step (an int) or for many (int64 array, same shape)."""
        if total_steps < 1:
            raise ValueError(f"`total_steps >= 1` must hold, but got total_steps={total_steps}")
        levels = self.levels_at(np.atleast_1d(np.asarray(step, dtype=np.int64)), total_steps)
        return levels if isinstance(step, np.ndarray) else int(levels[0])


CURRICULA: Registry[Curriculum] = Registry("spaces.curricula", Curriculum, "curriculum")  # type: ignore[type-abstract]
