from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from spaces.adaptive_noise import AdaptiveNoise
from spaces.arrays import Array, array_of, tensor_of
from spaces.lazy_torch import Tensor, torch
from spaces.noise.tabulated import Tabulated, index_edges

_HALVINGS = 8
_MAX_LOGIT = 6.0  # the smallest step of a curve is e^12 times smaller than its largest: its knots stay apart


@dataclass(frozen=True, kw_only=True)
class Learned(AdaptiveNoise):
    """Learned with the model: a monotone curve of ln sigma. After CVDM, della Maggiora et al. 2023 (arXiv:2312.02246).

    The curve goes from ln sigma_min at v = 0 to ln sigma_max at v = 1 in `knots` straight pieces, its steps the
    softmax of as many logits: monotone whatever they are. Levels are curve(v) with v uniform, so their density over
    ln sigma is 1/slope and each piece has the mass 1/knots. A straight line, log-uniform in sigma, is the start.

    Every `every` steps the logits go one gradient step down

        ln sum_b m_b / q_b  +  curvature * mean (difference of neighbouring steps, mean step 1)^2

    with m_b the second moment of the loss in bin b (`AdaptiveNoise`) and q_b the curve's mass there. The sum is
    E[L^2] of the importance-weighted loss; up to a constant it is 1 + the squared spread of its root second
    moments from bin to bin, and least (no spread) where q ~ sqrt(m), as in `loss_second_moment`. The step is
    `rate` long, halved until the sum falls.

    num_bins, history, every, importance_weights: as in loss_second_moment.

    Ours, untested as a way to better samples: CVDM learns the schedule of a diffusion model by other losses (its text
    was not read); what carries over is a monotone map, a penalty on curvature (theirs .001, of another form) and
    that learning a schedule must reduce variance [abs VDM, arXiv:2107.00630].
    """

    every: int = 20
    knots: int = 8
    curvature: float = 1e-3
    rate: float = 1.0

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {
        **AdaptiveNoise.BOUNDS,
        "knots": (2, 64),
        "curvature": (0.0, 1e3),
        "rate": (1e-4, 100.0),
    }
    SPACE: ClassVar[Mapping[str, BaseDistribution]] = {
        "knots": IntDistribution(4, 12),
        "curvature": FloatDistribution(1e-4, 1.0, log=True),
    }

    def start(self) -> Tensor:
        return torch.zeros(self.knots, dtype=torch.float64)

    def adapted(self, state_S: Tensor, second_moment_J: Tensor, sigma_N: Tensor) -> Tensor:
        root_J = second_moment_J.sqrt()
        if not root_J.sum() > 0:  # no loss anywhere: nothing to learn from
            return state_S
        root_J = root_J / root_J.sum()
        v_J1 = _bin_edges(len(root_J), sigma_N)
        with torch.enable_grad():
            logits = state_S.clone().requires_grad_()
            now = self._objective(logits, root_J, v_J1)
            (gradient,) = torch.autograd.grad(now, logits)
        step = self.rate
        for _ in range(_HALVINGS):
            moved = (state_S - step * gradient).clamp(-_MAX_LOGIT, _MAX_LOGIT)
            if self._objective(moved, root_J, v_J1) < now:  # NaN is not
                return moved
            step /= 2
        return state_S

    def _objective(self, logits: Tensor, root_J: Tensor, v_J1: Tensor) -> Tensor:
        """See the class. v_J1: edges of the bins on the axis of ln sigma, from 0 to 1."""
        knot_K1 = _knots(logits)
        cdf_J1 = ((v_J1[:, None] - knot_K1[:-1]) / knot_K1.diff()).clamp(0, 1).mean(1)
        second_moment = (root_J**2 / cdf_J1.diff()).sum()
        bend = (len(logits) * knot_K1.diff()).diff().square().mean()
        return second_moment.log() + self.curvature * bend

    def found(self, state_S: Tensor, sigma_N: Tensor) -> Tabulated:
        return self._with_knots(array_of(_knots(state_S)), array_of(sigma_N))

    def first(self, sigma_N: Array) -> Tabulated:
        return self._with_knots(index_edges(self.knots), sigma_N)

    def _with_knots(self, knot_K1: Array, sigma_N: Array) -> Tabulated:
        low, high = np.log(sigma_N[[0, -1]])
        sigma_K1 = np.exp(low + knot_K1 * (high - low))
        sigma_K1[0], sigma_K1[-1] = sigma_N[0], sigma_N[-1]
        return Tabulated(
            weights=(1.0,) * self.knots,
            sigmas=tuple(sigma_K1.tolist()),
            importance_weights=self.importance_weights,
        )


def _knots(logits: Tensor) -> Tensor:
    """Heights of the curve at its knots, from 0 to 1."""
    return torch.cat([logits.new_zeros(1), torch.softmax(logits, 0).cumsum(0)])


def _bin_edges(num_bins: int, sigma_N: Tensor) -> Tensor:
    """Edges of equal bins of the index, on the axis of ln sigma from 0 to 1; even inside each interval."""
    v_N = (sigma_N / sigma_N[0]).log() / (sigma_N[-1] / sigma_N[0]).log()
    position_J1 = tensor_of(index_edges(num_bins)) * (len(v_N) - 1)
    below_J1 = position_J1.long().clamp(max=len(v_N) - 2)
    return v_N[below_J1].lerp(v_N[below_J1 + 1], position_J1 - below_J1)
