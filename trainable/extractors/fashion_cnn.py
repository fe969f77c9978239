"""Feature network of Fashion-MNIST."""

from dataclasses import dataclass
from typing import ClassVar

from trainable.extractors._classifier import Classifier


@dataclass(frozen=True, kw_only=True)
class FashionCNN(Classifier):
    """64 features of a small classifier trained on Fashion-MNIST (about a minute, then cached)."""

    width: int = 16
    epochs: int = 3
    batch_size: int = 128
    learning_rate: float = 1e-2
    min_accuracy: float = 0.88

    DATA: ClassVar[str | None] = "fashion_mnist"
