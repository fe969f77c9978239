"""How RAdam's momentum and learning rate go over a trial.

A new strategy is one file in `trainable/optimizer_strategies/`: a frozen dataclass on `OptimizerStrategy`, its
options and their BOUNDS. See `trainable/optimizer_strategies/momentum_decay.py`.
Axes: K steps, P parameters.
"""

from abc import ABC
from dataclasses import dataclass

from spaces.choice import Choice
from spaces.lazy_torch import Tensor, torch
from spaces.registry import Registry


@dataclass(frozen=True, kw_only=True)
class OptimizerStrategy(Choice, ABC):
    """Base of `trainable/optimizer_strategies/`. What is not overridden is RAdam's own."""

    @property
    def uses_halves(self) -> bool:
        """Whether the gradients of two halves of each batch are made one by one: it has a `measured_factor`."""
        return type(self).measured_factor is not OptimizerStrategy.measured_factor

    def beta1(self, num_steps: int) -> Tensor | None:
        """beta1_K, float64, in [0, 1): the momentum of each step. None: RAdam's, .9 throughout."""
        return None

    def learning_rate_factor(self, num_steps: int) -> Tensor | None:
        """factor_K, float64, on the learning rate that the configuration gives each step. None: 1."""
        return None

    def measured_factor(self, noise_2: Tensor, gradient_P: Tensor, half_P: Tensor, batch_size: int) -> Tensor:
        """Factor on the learning rate of this step, from its gradient; a part of the captured step.

        noise_2: float64, what the strategy remembers, zeros at the start, changed in place. half_P: the part of the
        gradient that comes from the images 0, 2, 4, ..., so that gradient_P - half_P is that of the others.
        """
        return torch.ones_like(noise_2[0])


OPTIMIZER_STRATEGIES: Registry[OptimizerStrategy] = Registry(
    "trainable.optimizer_strategies", OptimizerStrategy, "strategy of the optimizer"
)
