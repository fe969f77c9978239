"""A small convolutional classifier whose last hidden layer gives the features: its options.

Axes: C channels, H height, W width.
"""

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from spaces.lazy_torch import Tensor
from spaces.registry import name_of
from trainable.dataset import Images
from trainable.extractor import Extractor, Suits, Weights
from trainable.metric.cache import Made, cached

if TYPE_CHECKING:
    from torch import nn

    from trainable.extractors._classifier_network import ClassifierModule


@dataclass(frozen=True, kw_only=True)
class Classifier(Extractor):
    """Base of the classifiers: a concrete one names its data set and sets defaults for it."""

    width: int = 16
    epochs: int = 10
    batch_size: int = 64
    learning_rate: float = 3e-3
    min_accuracy: float = 0.9  # on held-out images; a worse network measures nothing and is refused

    SEED: ClassVar[int] = 0
    # Built from an image's shape, `width` and the number of classes; its `scores` take its features.

    def __post_init__(self) -> None:
        for name in ("width", "epochs", "batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"`{name} > 0` must hold, but got {name}={getattr(self, name)}")
        if not 0 <= self.min_accuracy <= 1:
            raise ValueError(f"`0 <= min_accuracy <= 1` must hold, but got min_accuracy={self.min_accuracy}")

    def module(self, image_shape: tuple[int, int, int], num_classes: int) -> "ClassifierModule":
        """The network to train; its weights do not matter."""
        from trainable.extractors._classifier_network import ClassifierNetwork

        return ClassifierNetwork(image_shape, self.width, num_classes)

    def network(self, image_shape: tuple[int, int, int], state: dict[str, Tensor]) -> "nn.Module":
        from trainable.extractors._classifier_network import with_state

        return with_state(lambda: self.module(image_shape, len(state["scores.bias"])), state)

    def suits(self, image_shape: tuple[int, int, int], has_labels: bool) -> Suits:
        if has_labels:
            return Suits(True, "learns from the labels that there are")
        return Suits(False, "learns from labels, but there are none")

    def weights(self, images: Images, cache_dir: Path) -> Weights:
        name = name_of(self)
        if self.DATA is not None and images.name != self.DATA:
            raise ValueError(
                f"Feature network '{name}' is for data set '{self.DATA}', but the data set is "
                f"'{images.name}'. Use small_cnn (any labelled data set) or pixels (any)."
            )
        self.check_suits(images.image_shape, images.y_N is not None)
        # The threshold decides whether the network is used, not what it is.
        options = {key: value for key, value in asdict(self).items() if key != "min_accuracy"}
        key = {"format": 1, "options": options, "seed": self.SEED, "data_sha256": images.sha256}
        entry = cached(cache_dir / "extractors", name, key, lambda: self._trained(images))
        accuracy = float(entry.info["accuracy"])
        if accuracy < self.min_accuracy:
            raise ValueError(
                f"Feature network '{name}' must reach accuracy {self.min_accuracy:g} on held-out images "
                f"of '{images.name}', but reached {accuracy:.4f}. Raise `epochs` or `width`."
            )
        return Weights(entry.tensors, entry.sha256, accuracy)

    def _trained(self, images: Images) -> Made:
        from trainable.extractors._classifier_network import trained

        return trained(
            partial(self.module, images.image_shape),
            images,
            name_of(self),
            seed=self.SEED,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
        )
