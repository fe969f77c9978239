"""How often each interval of the grid is trained. Axes: N levels, M = N - 1 intervals between them.

A new family is one file in `spaces/noise/`: a frozen dataclass on `SigmaLaw` or `IndexLaw` with a
`cdf`, its options, their BOUNDS and the SPACE to search. See `spaces/noise/uniform.py`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from spaces.choice import Choice
from spaces.lazy_torch import Tensor, torch
from spaces.registry import Registry, name_of


@dataclass(frozen=True, kw_only=True)
class NoiseDistribution(Choice, ABC):
    """Answers one question, so that the trainer knows no family: how probable is each interval?

    ADAPTIVE: whether training changes the answer, so that it is only the start.
    """

    ADAPTIVE: ClassVar[bool] = False

    @abstractmethod
    def interval_probabilities(self, sigma_N: Tensor) -> Tensor:
        """probability_M, float64, >= 0, sum 1: of training the pair (sigma_i, sigma_{i+1}).

        sigma_N: increasing noise levels, float64.
        """

    def loss_weights(self, probability_M: Tensor) -> Tensor | None:
        """weight_M on top of the loss's own, for the probabilities in use; None: 1 for each interval."""
        return None


@dataclass(frozen=True, kw_only=True)
class Law(NoiseDistribution):
    """A continuous law with distribution function `cdf`, truncated to the grid."""

    @abstractmethod
    def coordinate(self, sigma_N: Tensor) -> Tensor:
        """The variable that the law is over, at each level: increasing."""

    @abstractmethod
    def cdf(self, x: Tensor) -> Tensor:
        """P(X <= x), elementwise, float64."""

    def log_cdf(self, x: Tensor) -> Tensor:
        """ln P(X <= x). Override where the lower tail would underflow."""
        return self.cdf(x).log()

    def log_sf(self, x: Tensor) -> Tensor:
        """ln P(X > x). Override where the upper tail is smaller than the rounding of 1 - cdf."""
        return torch.log1p(-self.cdf(x))

    def interval_probabilities(self, sigma_N: Tensor) -> Tensor:
        # In logs, so that a law whose bulk lies far outside the grid still has its truncation, not 0/0.
        x_N = self.coordinate(sigma_N.double())
        log_cdf_N, log_sf_N = self.log_cdf(x_N), self.log_sf(x_N)
        from_below_M = _log_difference(log_cdf_N[1:], log_cdf_N[:-1])
        from_above_M = _log_difference(log_sf_N[:-1], log_sf_N[1:])
        # The smaller of the two functions is the one whose differences are precise.
        log_p_M = torch.where(log_cdf_N[1:] < log_sf_N[:-1], from_below_M, from_above_M)
        largest = log_p_M.max()
        if not torch.isfinite(largest):
            raise ValueError(
                f"{self.describe()} has no mass that float64 can tell from 0 between "
                f"sigma={sigma_N[0]:g} and sigma={sigma_N[-1]:g}. "
                f"Move the law or the grid, or override log_cdf and log_sf in {name_of(self)}.py"
            )
        p_M = (log_p_M - largest).exp()
        return p_M / p_M.sum()


@dataclass(frozen=True, kw_only=True)
class SigmaLaw(Law):
    """A law over the noise level itself: `cdf(sigma)`. Another grid does not move its mass."""

    def coordinate(self, sigma_N: Tensor) -> Tensor:
        return sigma_N


@dataclass(frozen=True, kw_only=True)
class IndexLaw(Law):
    """A law over the normalised index u = i/M, with `cdf(0) = 0`, `cdf(1) = 1`.

    Which noise levels it means follows from the grid: rho and N belong to the same configuration.
    """

    def coordinate(self, sigma_N: Tensor) -> Tensor:
        num_intervals = len(sigma_N) - 1
        return torch.arange(num_intervals + 1, dtype=torch.float64) / num_intervals


def _log_difference(log_large: Tensor, log_small: Tensor) -> Tensor:
    """ln(exp(log_large) - exp(log_small)), elementwise; -inf where nothing is left."""
    log_ratio = (log_small - log_large).nan_to_num(nan=0.0).clamp(max=0.0)  # nan: -inf - (-inf)
    return log_large + torch.log(-torch.expm1(log_ratio))


NOISE: Registry[NoiseDistribution] = Registry("spaces.noise", NoiseDistribution, "noise family")  # type: ignore[type-abstract]
