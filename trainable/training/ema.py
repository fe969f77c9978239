"""Averages of the weights whose horizon grows with the step, for sampling at any rung. Axis: K steps."""

from spaces.lazy_torch import Tensor, torch


def ema_weights(num_steps: int, horizon: float) -> Tensor:
    """w_K, float64: after step k (from 1), ema <- ema + w_k (weights - ema).

    Power-function profile, Karras et al. 2024, Eq. 2-3 (arXiv:2312.02696): the average gives the weights of
    step s a share proportional to s^(1/horizon - 1), so its memory is about `horizon` times the steps done (their
    gamma is 1/horizon - 1; mean age k horizon/(1 + horizon)). A fixed decay would either never forget the
    initial weights within a short trial or average too little in a long one. w_1 = 1: initial weights have no
    share. horizon 0 gives w = 1, the current weights.
    """
    if horizon == 0:
        return torch.ones(num_steps, dtype=torch.float64)
    step_K = torch.arange(1, num_steps + 1, dtype=torch.float64)
    return 1 - (1 - 1 / step_K) ** (1 / horizon)
