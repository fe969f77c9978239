"""Which noise goes with which image of a batch. Axes: B images, D values per image."""

import torch
from torch import Tensor


def nearest_noise(x_BCHW: Tensor, z_BCHW: Tensor) -> Tensor:
    """z_BCHW in the order in which the sum of the distances ||x_i - z_i||_2 over the batch is the smallest.

    Immiscible Diffusion, Li et al. 2024 (arXiv:2406.12303): a linear assignment on the matrix of distances, as its
    abstract has it; its code was not read. The noise of a batch is the same set of draws, so each z is still standard
    normal, but no longer independent of its image. Waits for the device; the assignment itself is made on the CPU.
    """
    from scipy.optimize import linear_sum_assignment  # a fifth of a second, for those who ask for it

    distance_BB = torch.cdist(x_BCHW.flatten(1), z_BCHW.flatten(1)).cpu()
    _, order = linear_sum_assignment(distance_BB.numpy())
    return z_BCHW[torch.from_numpy(order).to(z_BCHW.device)]
