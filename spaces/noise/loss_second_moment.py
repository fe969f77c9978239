from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from spaces.adaptive_noise import AdaptiveNoise
from spaces.arrays import Array
from spaces.lazy_torch import Tensor, torch
from spaces.noise.tabulated import Tabulated


@dataclass(frozen=True, kw_only=True)
class LossSecondMoment(AdaptiveNoise):
    """Adaptive: p follows the root of a running second moment of the loss. Nichol & Dhariwal 2021 (arXiv:2102.09672).

        q_i = sqrt(E[L_i^2]) / sum,   p_i = (1 - uniform) q_i + uniform / M

    with L before importance weights, and the loss of interval i weighted by 1/(M p_i) (`importance_weights`).
    Formula, uniform share .001 and weights as in the public code [code openai/consistency_models, resample.py]; that
    the paper is its source is [recalled]. Uniform until the history is full. Departs: that code keeps the last ten
    losses of each level, which a curriculum over N would throw away and which fill slowly where N is large. Here
    the moments are those of fixed bins of the index; a bin's 400 losses are ten of each of 1,280 levels.

    num_bins: those bins. history: losses that each remembers. every: steps between two adaptations, of which there is
    one more where N changes. uniform: the share that keeps every level trained.

    Sometimes asked for as "variance-proportional" sampling; no paper of that name was found. The loss stands in for
    the gradient, whose root mean square the least noisy estimate would follow [recalled].
    """

    uniform: float = 0.001

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {**AdaptiveNoise.BOUNDS, "uniform": (1e-6, 1.0)}

    def start(self) -> Tensor:
        return torch.full((self.num_bins,), 1 / self.num_bins, dtype=torch.float64)

    def adapted(self, state_S: Tensor, second_moment_J: Tensor, sigma_N: Tensor) -> Tensor:
        root_J = second_moment_J.sqrt()
        if not root_J.sum() > 0:  # no loss anywhere: nothing to follow
            return self.start()
        return (1 - self.uniform) * root_J / root_J.sum() + self.uniform / self.num_bins

    def found(self, state_S: Tensor, sigma_N: Tensor) -> Tabulated:
        return Tabulated(weights=tuple(state_S.tolist()), importance_weights=self.importance_weights)

    def first(self, sigma_N: Array) -> Tabulated:
        return Tabulated(
            weights=(1 / self.num_bins,) * self.num_bins, importance_weights=self.importance_weights
        )
