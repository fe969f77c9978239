"""Feature network for a data set that has none of its own."""

from dataclasses import dataclass

from trainable.extractors._classifier import Classifier


@dataclass(frozen=True, kw_only=True)
class SmallCNN(Classifier):
    """64 features of a small classifier trained on the search's own data set, whichever has labels.

    Set `min_accuracy` to what such a classifier should reach there.
    """
