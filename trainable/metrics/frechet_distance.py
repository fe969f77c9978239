"""The Frechet distance of two sets of features. Axes: N real images, G generated ones, D features."""

from dataclasses import dataclass
from typing import ClassVar

from spaces.lazy_torch import Tensor
from trainable.extractor import objective_name
from trainable.metric.frechet import GaussianStats, frechet_distance
from trainable.metric.sample_metric import SampleMetric


@dataclass(frozen=True, kw_only=True)
class FrechetDistance(SampleMetric):
    """Squared 2-Wasserstein distance of fitted Gaussians. Heusel et al. 2017 (arXiv:1706.08500).

    In squared units of the features, >= 0; with Inception features it is the FID. Sees mean and covariance only.
    Biased upwards, by about C/N + C/G with C of the features' covariance.
    """

    RATIO_SCALE: ClassVar[bool] = True

    def name_on(self, extractor_name: str) -> str:
        """As the objective is called."""
        return objective_name(extractor_name)

    def measured(self, real_ND: Tensor, generated_GD: Tensor) -> float:
        return frechet_distance(GaussianStats.of(real_ND), GaussianStats.of(generated_GD))
