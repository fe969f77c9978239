"""Sampling from a diffusion model. Axes: B images, C channels, H height, W width."""

import torch
from torch import Tensor

from trainable.training.consistency import NetworkFunction, consistency_function


def sample_by_heun(
    network: NetworkFunction, z_BCHW: Tensor, sigmas: tuple[float, ...], sigma_data: float
) -> Tensor:
    """Images from standard normal z by the probability-flow ODE, in 2 len(sigmas) - 1 network calls.

    Heun's method, Karras et al. 2022, Algorithm 1 with S_churn = 0 (arXiv:2206.00364): from each of the decreasing
    sigmas to the next one, from the last to 0 by one step of Euler's. States are float64, as in its code.
    """
    x_BCHW = sigmas[0] * z_BCHW.double()

    def slope(x_BCHW: Tensor, sigma: float) -> Tensor:
        sigma_B = torch.full((len(x_BCHW),), sigma, dtype=torch.float64, device=x_BCHW.device)
        D_BCHW = consistency_function(network, x_BCHW.float(), sigma_B, 0.0, sigma_data)
        return (x_BCHW - D_BCHW.double()) / sigma

    for sigma, following in zip(sigmas, (*sigmas[1:], 0.0), strict=True):
        d_BCHW = slope(x_BCHW, sigma)
        reached_BCHW = x_BCHW + (following - sigma) * d_BCHW
        if following > 0:
            d_BCHW = (d_BCHW + slope(reached_BCHW, following)) / 2
            reached_BCHW = x_BCHW + (following - sigma) * d_BCHW
        x_BCHW = reached_BCHW
    return x_BCHW.float()
