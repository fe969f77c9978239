"""How often each interval of the grid is trained. Axes: N levels, M = N - 1 intervals between them.

A new family is one file in `spaces/noise/`: a frozen dataclass on `SigmaLaw` or `IndexLaw` with a
`cdf`, its options, their BOUNDS and the SPACE to search. See `spaces/noise/uniform.py`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from spaces.arrays import Array, Numbers, array_of, tensor_of
from spaces.choice import Choice
from spaces.lazy_torch import Tensor
from spaces.registry import Registry, name_of


@dataclass(frozen=True, kw_only=True)
class NoiseDistribution(Choice, ABC):
    """Answers one question, so that the trainer knows no family: how probable is each interval?

    ADAPTIVE: whether training changes the answer, so that it is only the start.
    A family has `probabilities`, in NumPy, or `interval_probabilities`, in torch (see `spaces.arrays`).
    """

    ADAPTIVE: ClassVar[bool] = False

    def probabilities(self, sigma_N: Array) -> Array:
        """probability_M, float64, >= 0, sum 1: of training the pair (sigma_i, sigma_{i+1}).

        sigma_N: increasing noise levels, float64.
        """
        return array_of(self.interval_probabilities(tensor_of(sigma_N)))

    def interval_probabilities(self, sigma_N: Tensor) -> Tensor:
        """`probabilities`, from and to tensors."""
        return tensor_of(self.probabilities(array_of(sigma_N)))

    def loss_weights(self, probability_M: Numbers) -> Numbers | None:
        """weight_M on top of the loss's own, for the probabilities in use; None: 1 for each interval."""
        return None

    @property
    def weighs_loss(self) -> bool:
        """Whether there are such weights."""
        return self.loss_weights(np.array([0.5, 0.5])) is not None


@dataclass(frozen=True, kw_only=True)
class Law(NoiseDistribution):
    """A continuous law with distribution function `cdf`, truncated to the grid.

    TENSORS: whether `cdf`, `log_cdf` and `log_sf` take and give tensors; False: arrays of NumPy.
    """

    TENSORS: ClassVar[bool] = True

    @abstractmethod
    def coordinate(self, sigma_N: Array) -> Array:
        """The variable that the law is over, at each level: increasing."""

    @abstractmethod
    def cdf(self, x: Any) -> Any:
        """P(X <= x), elementwise, float64."""

    def log_cdf(self, x: Any) -> Any:
        """ln P(X <= x). Override where the lower tail would underflow."""
        below = self.cdf(x)
        return below.log() if self.TENSORS else np.log(below)

    def log_sf(self, x: Any) -> Any:
        """ln P(X > x). Override where the upper tail is smaller than the rounding of 1 - cdf."""
        below = self.cdf(x)
        return (-below).log1p() if self.TENSORS else np.log1p(-below)

    def tails(self, x_N: Array) -> tuple[Array, Array]:
        """(ln P(X <= x), ln P(X > x)), elementwise."""
        if self.TENSORS:
            x = tensor_of(x_N)
            return array_of(self.log_cdf(x)), array_of(self.log_sf(x))
        return self.log_cdf(x_N), self.log_sf(x_N)

    @np.errstate(divide="ignore", invalid="ignore", under="ignore")  # ln 0 is an answer here
    def probabilities(self, sigma_N: Array) -> Array:
        # In logs, so that a law whose bulk lies far outside the grid still has its truncation, not 0/0.
        log_cdf_N, log_sf_N = self.tails(self.coordinate(sigma_N))
        # The smaller of the two functions is the one whose differences are precise.
        is_below_M = log_cdf_N[1:] < log_sf_N[:-1]
        log_p_M = _log_difference(
            np.where(is_below_M, log_cdf_N[1:], log_sf_N[:-1]),
            np.where(is_below_M, log_cdf_N[:-1], log_sf_N[1:]),
        )
        largest = log_p_M.max()
        if not np.isfinite(largest):
            raise ValueError(
                f"{self.describe()} has no mass that float64 can tell from 0 between "
                f"sigma={sigma_N[0]:g} and sigma={sigma_N[-1]:g}. "
                f"Move the law or the grid, or override log_cdf and log_sf in {name_of(self)}.py"
            )
        p_M = np.exp(log_p_M - largest)
        return p_M / p_M.sum()


@dataclass(frozen=True, kw_only=True)
class SigmaLaw(Law):
    """A law over the noise level itself: `cdf(sigma)`. Another grid does not move its mass."""

    def coordinate(self, sigma_N: Array) -> Array:
        return sigma_N


@dataclass(frozen=True, kw_only=True)
class IndexLaw(Law):
    """A law over the normalised index u = i/M, with `cdf(0) = 0`, `cdf(1) = 1`.

    Which noise levels it means follows from the grid: rho and N belong to the same configuration.
    """

    def coordinate(self, sigma_N: Array) -> Array:
        return np.arange(len(sigma_N)) / (len(sigma_N) - 1)


def _log_difference(log_large: Array, log_small: Array) -> Array:
    """ln(exp(log_large) - exp(log_small)), elementwise; -inf where nothing is left."""
    log_ratio = np.fmin(log_small - log_large, 0.0)  # nan: -inf - (-inf)
    return log_large + np.log(-np.expm1(log_ratio))


NOISE: Registry[NoiseDistribution] = Registry("spaces.noise", NoiseDistribution, "noise family")
