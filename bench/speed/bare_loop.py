"""Improved consistency training as one would write it by hand for a single schedule: the yardstick.

No search, no checkpoints, no resume. torch.optim.RAdam on the module's parameters, EMA by one foreach call,
levels by multinomial, random numbers from one generator. The loss is that of
`trainable/training/consistency.py` (Song & Dhariwal 2023, arXiv:2310.14189), at iCT's schedule.

Axes: B images in a batch, N noise levels.
"""

import copy
import math
import time

import torch
from torch import Tensor, nn

from trainable.network import Network
from trainable.training.config import TrainingConfig

RHO, SIGMA_MIN, SIGMA_MAX = 7.0, 0.002, 80.0
P_MEAN, P_STD, S0, DOUBLINGS = -1.1, 2.0, 10, 7


def levels(num: int) -> tuple[Tensor, Tensor]:
    """sigma_N and the probabilities of its N - 1 intervals."""
    low, high = SIGMA_MIN ** (1 / RHO), SIGMA_MAX ** (1 / RHO)
    sigma_N = torch.linspace(low, high, num, dtype=torch.float64) ** RHO
    cdf_N = torch.erf((sigma_N.log() - P_MEAN) / (math.sqrt(2) * P_STD))
    return sigma_N.float(), cdf_N.diff().float()


class BareLoop:
    """One training, continued by each call of `train`."""

    def __init__(
        self,
        network: Network,
        images_NCHW: Tensor,
        config: TrainingConfig,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ):
        self.config, self.images_NCHW, self.device = config, images_NCHW.to(device), torch.device(device)
        channels, height, width = images_NCHW.shape[1:]
        module = network.build((channels, height, width))
        module.reset_parameters(torch.Generator().manual_seed(seed))
        self.module: nn.Module = module.to(self.device)
        self.ema = copy.deepcopy(module).requires_grad_(False)
        # foreach: on these networks a tenth faster than the default.
        self.optimiser = torch.optim.RAdam(module.parameters(), lr=config.learning_rate, foreach=True)
        self.learning_rate_K = config.learning_rates().tolist()
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.step = 0
        self.loss = math.nan
        self.num_levels = 0

    def f(self, x_BCHW: Tensor, sigma_B: Tensor) -> Tensor:
        """The consistency function, by its formula."""
        sigma, sigma_data = sigma_B[:, None, None, None], self.config.sigma_data
        total = (sigma**2 + sigma_data**2).sqrt()
        c_skip = sigma_data**2 / ((sigma - SIGMA_MIN) ** 2 + sigma_data**2)
        c_out = sigma_data * (sigma - SIGMA_MIN) / total
        return c_skip * x_BCHW + c_out * self.module(x_BCHW / total, sigma_B.log() / 4)

    def train(self, num_steps: int) -> float:
        """Seconds that `num_steps` more steps took."""
        config, batch_size = self.config, self.config.batch_size
        huber_c = config.huber_c * math.sqrt(self.images_NCHW[0].numel())
        began = time.perf_counter()
        for _ in range(num_steps):
            stage = min(self.step * (DOUBLINGS + 1) // config.total_steps, DOUBLINGS)
            if S0 * 2**stage + 1 != self.num_levels:
                self.num_levels = S0 * 2**stage + 1
                self.sigma_N, self.probability_M = (each.to(self.device) for each in levels(self.num_levels))
            index_B = torch.randint(
                len(self.images_NCHW), (batch_size,), generator=self.generator, device=self.device
            )
            x_BCHW = self.images_NCHW[index_B]
            z_BCHW = torch.randn(x_BCHW.shape, generator=self.generator, device=self.device)
            i_B = torch.multinomial(
                self.probability_M, batch_size, replacement=True, generator=self.generator
            )
            r_B, t_B = self.sigma_N[i_B], self.sigma_N[i_B + 1]
            with torch.no_grad():
                teacher_BCHW = self.f(x_BCHW + r_B[:, None, None, None] * z_BCHW, r_B)
            student_BCHW = self.f(x_BCHW + t_B[:, None, None, None] * z_BCHW, t_B)
            squared_B = (student_BCHW - teacher_BCHW).square().flatten(1).sum(1)
            distance_B = squared_B / ((squared_B + huber_c**2).sqrt() + huber_c)
            loss = (distance_B / (t_B - r_B)).mean()
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.param_groups[0]["lr"] = self.learning_rate_K[self.step]
            self.optimiser.step()
            self.step += 1
            # The same averages as the product's (trainable/training/ema.py); ema_horizon 0 is none.
            horizon = config.ema_horizon
            weight = 1 - (1 - 1 / self.step) ** (1 / horizon) if horizon else 1.0
            torch._foreach_lerp_(list(self.ema.parameters()), list(self.module.parameters()), weight)
        self.loss = loss.item()
        return time.perf_counter() - began
