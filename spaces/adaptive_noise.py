"""Noise families whose probabilities follow the training. Axes: M intervals, J bins, S numbers of a state.

The bins cut the normalised index i/M into J equal parts: a change of N leaves them where they are, and what is
known of the losses in them. A family is pure mathematics: the trainer counts the losses, folds them into `LossMoments`
and asks for the next state, which is plain numbers.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from spaces.arrays import Array, Numbers, array_of, tensor_of
from spaces.lazy_torch import Tensor, torch
from spaces.noise.tabulated import Tabulated, importance, index_edges, rebinned
from spaces.noise_distribution import NoiseDistribution


class LossMoments(NamedTuple):
    """Running second moment E[L^2] of the loss of an image, before importance weights, in each bin.

    Both float64. count_J: draws so far; a draw in an interval that several bins share is shared among them.
    """

    count_J: Tensor
    second_moment_J: Tensor

    @classmethod
    def none(cls, num_bins: int) -> "LossMoments":
        """Nothing seen yet."""
        return cls(*torch.zeros(2, num_bins, dtype=torch.float64))

    def updated(self, count_M: Tensor, squares_M: Tensor, history: float) -> "LossMoments":
        """With the draws and the summed squares of the losses of a window, by interval.

        The plain mean of all squares until a bin has seen `history` of them; from then on new ones replace
        old ones in equal number, as in a window of that length. A bin without draws keeps what it has.
        """
        num_bins = len(self.count_J)
        new_J2 = rebinned(
            np.stack([array_of(count_M), array_of(squares_M)], axis=1),
            index_edges(len(count_M)),
            index_edges(num_bins),
        )
        new_count_J, new_squares_J = tensor_of(new_J2).unbind(1)
        count_J = self.count_J + new_count_J
        memory_J = count_J.clamp(max=history).maximum(new_count_J)
        share_J = torch.where(new_count_J > 0, new_count_J / memory_J, 0.0)
        mean_J = torch.where(new_count_J > 0, new_squares_J / new_count_J, 0.0)
        return LossMoments(count_J, self.second_moment_J.lerp(mean_J, share_J))


@dataclass(frozen=True, kw_only=True)
class AdaptiveNoise(NoiseDistribution, ABC):
    """Probabilities that follow the second moment of the loss at each noise level.

    num_bins: J. history: losses that the running moment of a bin remembers; the family stays as it starts until
    each bin has seen so many. every: steps between two adaptations; there is one more where N changes.
    importance_weights: weigh the loss of an interval of probability p by 1/(M p). Then the expected objective stays
    that of uniform sampling, whatever the probabilities; without it they decide what is minimised as well.
    """

    num_bins: int = 32
    history: int = 400
    every: int = 50
    importance_weights: bool = True

    ADAPTIVE: ClassVar[bool] = True
    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {
        "num_bins": (2, 256),
        "history": (1, 1_000_000),
        "every": (1, 1_000_000),
    }

    @abstractmethod
    def start(self) -> Tensor:
        """state_S, float64, of a trial that has seen nothing."""

    def first(self, sigma_N: Array) -> NoiseDistribution:
        """The distribution that the start means: `found(start(), sigma_N)`. Override it in NumPy, if that is easy."""
        return self.found(self.start(), tensor_of(sigma_N))

    @abstractmethod
    def adapted(self, state_S: Tensor, second_moment_J: Tensor, sigma_N: Tensor) -> Tensor:
        """The next state. second_moment_J: finite, >= 0, one more look at the losses. sigma_N: levels in use."""

    @abstractmethod
    def found(self, state_S: Tensor, sigma_N: Tensor) -> Tabulated:
        """The distribution that a state means: what the trial trains with, as plain numbers."""

    def probabilities(self, sigma_N: Array) -> Array:
        """Those of the start."""
        return self.first(sigma_N).probabilities(sigma_N)

    def loss_weights(self, probability_M: Numbers) -> Numbers | None:
        return importance(probability_M) if self.importance_weights else None
