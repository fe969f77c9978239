"""The kernel distance of two sets of features. Axes: N real images, G generated ones, D features."""

from dataclasses import dataclass
from typing import ClassVar

from spaces.lazy_torch import Tensor
from trainable.metric.sample_metric import SampleMetric

ROWS = 1000  # of a kernel matrix at once: 80 MB against 10,000 images


@dataclass(frozen=True, kw_only=True)
class KernelDistance(SampleMetric):
    """Squared maximum mean discrepancy, kernel (x.y/D + 1)^3. Binkowski et al. 2018 (arXiv:1801.01401).

    With Inception features it is the KID, here of all images at once instead of a mean over subsets. Sees the first
    three moments. Without bias at any N and G (Gretton et al. 2012, Eq. 3), so it may fall below 0 for good
    samples. Its unit is the kernel's: compare within one feature network.
    """

    BY_PAIRS: ClassVar[bool] = True

    def measured(self, real_ND: Tensor, generated_GD: Tensor) -> float:
        cross = _kernel_sum(real_ND, generated_GD) / (len(real_ND) * len(generated_GD))
        return _mean_of_pairs(real_ND) + _mean_of_pairs(generated_GD) - 2 * cross


def _kernel_sum(x_ND: Tensor, y_GD: Tensor) -> float:
    """The kernel, summed over all of x with all of y."""
    num_features = x_ND.shape[1]
    return sum(float((rows @ y_GD.T / num_features + 1).pow(3).sum()) for rows in x_ND.split(ROWS))


def _mean_of_pairs(x_ND: Tensor) -> float:
    """The mean of the kernel over pairs of two different rows."""
    num, num_features = x_ND.shape
    with_themselves = float((x_ND.square().sum(1) / num_features + 1).pow(3).sum())
    return (_kernel_sum(x_ND, x_ND) - with_themselves) / (num * (num - 1))
