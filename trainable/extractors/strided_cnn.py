"""A second feature network for a data set with labels: a classifier of another build."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from trainable.extractors._classifier import Classifier

if TYPE_CHECKING:
    from trainable.extractors._classifier_network import ClassifierModule


@dataclass(frozen=True, kw_only=True)
class StridedCNN(Classifier):
    """64 features of a classifier unlike the others: strides, SiLU, no norm, another initialisation.

    For any data set with labels: to measure samples by other features than the objective's, so that no one
    classifier decides. Set `min_accuracy` to what such a classifier should reach there.
    """

    SEED: ClassVar[int] = 1

    def module(self, image_shape: tuple[int, int, int], num_classes: int) -> "ClassifierModule":
        from trainable.extractors._strided_network import StridedNetwork

        return StridedNetwork(image_shape[0], self.width, num_classes)
