from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from spaces.lazy_torch import Tensor, torch
from trainable.optimizer_strategy import OptimizerStrategy


@dataclass(frozen=True, kw_only=True)
class GradientNoiseScale(OptimizerStrategy):
    """lr / (1 + B_noise/B), B_noise = tr Sigma / |G|^2. After McCandlish et al. 2018 (arXiv:1812.06162).

    G is the true gradient, Sigma the covariance of that of one image, B the batch size: a step is as long as its
    direction is certain. That form of the rate is [recalled]; it comes on top of the configuration's decay.

    Each batch is two halves of b = B/2 images (even and odd positions: of stratified levels both have all), with
    gradients g and h and G_B = (g + h)/2. The published estimators, with |G_b|^2 the mean of both, become

        |G|^2    ~  (B |G_B|^2 - b |G_b|^2) / (B - b)         =  g.h
        tr Sigma ~  (|G_b|^2 - |G_B|^2) / (1/b - 1/B)         =  B |g - h|^2 / 4

    exact in expectation for images drawn independently (`stratified: false`). The halves of a stratified batch have
    other slices of the noise levels, and so expected gradients that differ by some d: g.h is |d|^2/4 too small in
    expectation. That falls as 1/B^2: where the gradient grows as e^(6u) with the level's quantile u, g.h is .87 |G|^2
    at B = 8 and .999 at 128. tr Sigma is that of the batch as it is drawn.

    Each is smoothed by itself over about `memory` steps, and |G|^2, which may come out negative,
    is cut off at 0; the unfinished averages of the first steps are too small by the same factor, which the
    ratio does not see. lowest: the rate never falls below this share. Costs what two passes over half the batch
    cost more than one over all of it.
    """

    memory: int = 100
    lowest: float = 0.01

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {
        "memory": (1, 1_000_000),
        "lowest": (0.0, 1.0),
    }

    def measured_factor(self, noise_2: Tensor, gradient_P: Tensor, half_P: Tensor, batch_size: int) -> Tensor:
        # half = g/2 and gradient = (g + h)/2, so other = h/2.
        other_P = gradient_P - half_P
        measured_2 = torch.stack([batch_size * (half_P - other_P).square().sum(), 4 * half_P.dot(other_P)])
        noise_2.lerp_(measured_2.double(), 1 / self.memory)
        trace, squared_norm = noise_2.clamp(min=0).unbind()
        # 1 / (1 + trace / (squared_norm B)) without a division by 0; no noise at all gives 1.
        noise = trace / batch_size
        factor = squared_norm / (squared_norm + noise)
        return factor.nan_to_num(nan=1.0).clamp(min=self.lowest).float()
