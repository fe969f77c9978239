"""The uncertainty u(t) that a learned weight has: e^-u(t) weight distance / D + u(t) is minimised over u too.

Karras et al. 2024, Eq. 21 (arXiv:2312.02696); `spaces/weights/learned_uncertainty.py` has what was read where. u is
linear in fixed features of c = ln(t)/4,

    u(t) = 8 (a_0 + sum over k = 1..8 of sqrt(2) (a_k cos(2 pi k c / 8) + b_k sin(2 pi k c / 8)))

whose period, 8 of c, is longer than any grid, and whose finest wave has the bandwidth of EDM2's random ones. RAdam
moves each number by about the learning rate at most; the factor 8 lets so few move u as fast as the hundreds of the
papers. The gradient, the mean of (1 - e^-u weight distance / D) features, needs no backward pass; where the mean of
that product is above 2 it is divided by half of it, or RAdam would long be slow after a start far below the optimum.
RAdam's factors are those of the network's step; in the first five, where they are for the plain gradient, in the unit
of the loss, u stays where it is.

Axes: B images, L columns of a level table, F features, K knots of a table.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from spaces import NoiseSchedule
from spaces.arrays import array_of, tensor_of
from spaces.weights.tabulated import Tabulated
from trainable.training.radam import BETA1, radam_

_WAVES, _PERIOD, _SCALE = 8, 8.0, 8.0
_C_NOISE, _WEIGHT = 4, 10  # columns of a level table
_NUM_KNOTS, _MOST_LN = 129, 80.0  # what `Tabulated` takes


class Weighed(NamedTuple):
    """What a step has learned of its levels: features_BF, and u_B of them."""

    features_BF: Tensor
    u_B: Tensor


def begun(device: torch.device) -> Tensor:
    """uncertainty_3F: the coefficients of u and RAdam's two moments of them, all 0."""
    return torch.zeros(3, 1 + 2 * _WAVES, device=device)


def features(c_noise_B: Tensor) -> Tensor:
    """(B, F), in the precision of c_noise_B."""
    wave_K = torch.arange(1, _WAVES + 1, dtype=c_noise_B.dtype, device=c_noise_B.device)
    phase_BK = c_noise_B[:, None] * (2 * math.pi / _PERIOD * wave_K)
    wave = math.sqrt(2) * _SCALE
    constant_B1 = torch.full_like(c_noise_B, _SCALE)[:, None]
    parts = [constant_B1, wave * phase_BK.cos(), wave * phase_BK.sin()]
    return torch.cat(parts, dim=1)


def weigh_(levels_BL: Tensor, uncertainty_3F: Tensor, num_values: int) -> Weighed:
    """Multiply the weights of drawn rows of a level table by e^-u / num_values, that of an image."""
    features_BF = features(levels_BL[:, _C_NOISE])
    u_B = features_BF @ uncertainty_3F[0]
    levels_BL[:, _WEIGHT].mul_((-u_B).exp_().div_(num_values))
    return Weighed(features_BF, u_B)


def learn_(
    uncertainty_3F: Tensor,
    weighed: Weighed,
    loss_B: Tensor,
    adaptive: Tensor,
    new_share: float | Tensor = 1 - BETA1,
) -> Tensor:
    """Move u by the losses, as they were weighed; returns what was minimised of each image, (B,).

    adaptive, new_share: as `radam_` has them.
    """
    value_F, m_F, v_F = uncertainty_3F
    gradient_F = (1 - loss_B) @ weighed.features_BF / len(loss_B)
    gradient_F /= (loss_B.mean() / 2).clamp(min=1)
    radam_(value_F, gradient_F, m_F, v_F, adaptive, torch.zeros_like(adaptive), new_share)
    return loss_B + weighed.u_B


def tabulated(
    schedule: NoiseSchedule, uncertainty_3F: Tensor, num_values: int, sigma_data: float
) -> Tabulated:
    """The weight of the schedule with u as it is, as plain numbers: what a trial has come to."""
    grid = schedule.grid
    log_t_K = np.linspace(math.log(grid.sigma_min), math.log(grid.sigma_max), _NUM_KNOTS)
    t_K = np.exp(log_t_K)
    u_K = array_of(features(tensor_of(log_t_K / 4)) @ uncertainty_3F[0].double().cpu())
    start_K = schedule.weight.of_pairs(t_K, np.zeros_like(t_K), sigma_data)
    log_weight_K = (np.log(start_K) - u_K - math.log(num_values)).clip(-_MOST_LN, _MOST_LN)
    return Tabulated(log_t=tuple(log_t_K.tolist()), log_weight=tuple(log_weight_K.tolist()))
