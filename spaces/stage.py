"""A stage of a schedule as numbers. Axes: N levels, M = N - 1 intervals, or pairs of levels."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from spaces.arrays import Array, tensor_of
from spaces.lazy_torch import Tensor


@dataclass(frozen=True, eq=False)
class Stage:
    """A run of steps with the same levels: from start_step up to the next stage's.

    levels: sigma_N, increasing. probabilities: probability_M, of training the pair (sigma_i, sigma_{i+1}).
    Both float64 and shared between callers: copy before changing them. phase: the curriculum's.
    """

    start_step: int
    levels: Array
    probabilities: Array
    phase: int = 0

    @cached_property
    def sigma_N(self) -> Tensor:
        """`levels` as a tensor on the CPU."""
        return tensor_of(self.levels)

    @cached_property
    def probability_M(self) -> Tensor:
        """`probabilities` as a tensor on the CPU."""
        return tensor_of(self.probabilities)

    @property
    def num_levels(self) -> int:
        """N."""
        return len(self.levels)

    def mass(self, edges: Array) -> Array:
        """Probability between the increasing `edges` of ln sigma, one less than those.

        That of an interval is spread evenly over it; what lies outside the edges counts nowhere.
        """
        below_N = np.concatenate([[0.0], np.cumsum(self.probabilities)])
        return np.diff(np.interp(edges, np.log(self.levels), below_N))


class Pairs(NamedTuple):
    """The levels t of the student and r < t of the teacher, how probable a pair is and how much it counts; float64."""

    t_M: Array
    r_M: Array
    probability_M: Array
    weight_M: Array
