from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from spaces.lazy_torch import Tensor, torch
from trainable.optimizer_strategy import OptimizerStrategy


@dataclass(frozen=True, kw_only=True)
class MomentumDecay(OptimizerStrategy):
    """Momentum falls from b0 to 0, with a compensating learning rate (MDLRC). After Xu et al. 2024 (arXiv:2404.07946).

        beta_t = b0 (1 - tau) / ((1 - b0) + b0 (1 - tau)),   tau = k/K

        compensation "lower": lr (1 - b0)/(1 - beta_t), down to (1 - b0) of itself
                     "raise": lr (1 - beta_t)/(1 - b0), up to 1/(1 - b0) times itself
                     "none":  lr

    On top of the decay that the configuration gives the learning rate. Both formulas, with "lower", are those of
    third-party code; the paper's body was not read, and no official code was found. The sign is doubtful: in
    plain momentum (v <- beta v + g) a step is lr/(1 - beta) gradients long, and to keep that as beta falls the
    rate must rise, "raise". In RAdam, whose m is an average of gradients, a step is lr long whatever beta is, and
    nothing need be compensated, "none". Hence all three.
    """

    b0: float = 0.9
    compensation: Literal["lower", "raise", "none"] = "lower"

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {"b0": (0.01, 0.999)}

    def beta1(self, num_steps: int) -> Tensor:
        left_K = 1 - torch.arange(num_steps, dtype=torch.float64) / num_steps
        return self.b0 * left_K / ((1 - self.b0) + self.b0 * left_K)

    def learning_rate_factor(self, num_steps: int) -> Tensor | None:
        if self.compensation == "none":
            return None
        lower_K = (1 - self.b0) / (1 - self.beta1(num_steps))
        return lower_K if self.compensation == "lower" else 1 / lower_K
