"""What a metric of samples is: features of real and of generated images in, one number out.

Axes: N real images, G generated ones, D features.
"""

import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from spaces.choice import Choice
from spaces.lazy_torch import Tensor, torch
from spaces.registry import Registry


@dataclass(frozen=True, kw_only=True)
class SampleMetric(Choice, ABC):
    """Base of `trainable/metrics/`: the fields are its options, `measured` does the work.

    A value belongs to its feature network and to both numbers of images: with any of them different it cannot be
    compared. LARGER_IS_BETTER: which way is up. RATIO_SCALE: whether values are above 0, where 0 means none, so that
    two are compared by their ratio; others are by their difference. BY_PAIRS: whether its cost grows with the number
    of pairs of images; else with the number of images.
    """

    LARGER_IS_BETTER: ClassVar[bool] = False
    BY_PAIRS: ClassVar[bool] = False
    RATIO_SCALE: ClassVar[bool] = False

    def name_on(self, extractor_name: str) -> str:
        """Of its values on a feature network: `coverage_strided_cnn`; of letters, digits, `_`, `.` and `-`."""
        name = re.sub(r"[^\w.-]+", "_", self.describe(), flags=re.ASCII).strip("_")
        return f"{name}_{extractor_name}"

    @property
    def worst(self) -> float:
        """The value of samples that are not finite: 0 where larger is better, else inf."""
        return 0.0 if self.LARGER_IS_BETTER else math.inf

    @property
    def least_images(self) -> int:
        """The smallest number of real and of generated images that it takes."""
        return 2

    def __call__(self, real_ND: Tensor, generated_GD: Tensor) -> float:
        """The number, from features of any float type; `worst` where a generated feature is not finite.

        ValueError for features of two widths or for too few.
        """
        shapes = tuple(real_ND.shape), tuple(generated_GD.shape)
        if real_ND.ndim != 2 or generated_GD.ndim != 2 or real_ND.shape[1] != generated_GD.shape[1]:
            raise ValueError(f"Features must be (N, D) and (G, D), but got {shapes[0]} and {shapes[1]}")
        if min(len(real_ND), len(generated_GD)) < self.least_images:
            raise ValueError(
                f"The metric {self.describe()} needs at least {self.least_images} real and as many generated images, "
                f"but got {len(real_ND)} and {len(generated_GD)}"
            )
        if not bool(torch.isfinite(generated_GD).all()):
            return self.worst
        return self.measured(real_ND.double(), generated_GD.double())

    @abstractmethod
    def measured(self, real_ND: Tensor, generated_GD: Tensor) -> float:
        """The number, from finite float64 features, enough of them."""


METRICS: Registry[SampleMetric] = Registry("trainable.metrics", SampleMetric, "metric")  # type: ignore[type-abstract]
