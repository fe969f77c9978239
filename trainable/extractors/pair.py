"""Two feature networks as one, so that neither alone decides. Axes: C channels, H height, W width."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spaces.lazy_torch import Tensor, torch
from trainable.dataset import Images
from trainable.download import Remote
from trainable.extractor import EXTRACTORS, Extractor, Suits, Weights

if TYPE_CHECKING:
    from torch import nn

_MAX_IMAGES = 10_000  # on which the scales are measured


@dataclass(frozen=True, kw_only=True)
class Pair(Extractor):
    """Two feature networks as one: a distance that falls only where both see better samples.

    The features of both, side by side, scaled so that over real images the variances of the first sum to `weight`, of
    the second to 1 - `weight`. Their Frechet distance is weight FD_1 / V_1 + (1 - weight) FD_2 / V_2 or more, V the
    summed variances of each: it is a squared Wasserstein distance, of which some of the axes alone show no more than
    their part. first, second: a feature network's name, or a mapping with `name` and its options.
    """

    first: str | dict[str, Any] = "small_cnn"
    second: str | dict[str, Any] = "pixels"
    weight: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.weight < 1:
            raise ValueError(f"`0 < weight < 1` must hold, but got weight={self.weight}")
        for word, options in (("first", self.first), ("second", self.second)):
            self._check(word, options)
        if len(set(self.parts)) != 2:
            raise ValueError(
                f"`first` and `second` must be two different feature networks, but both are {self.parts[0]}"
            )

    def _check(self, word: str, options: str | dict[str, Any]) -> None:
        try:
            extractor = EXTRACTORS.build(options)
        except ValueError as error:
            raise ValueError(f"`{word}`: {error}") from None
        if isinstance(extractor, Pair):
            raise ValueError(f"`{word}` must be a feature network that is no pair itself")
        paths = {path: getattr(extractor, path) for path in extractor.PATHS}
        for path, value in paths.items():
            if value is not None and not Path(value).is_absolute():
                raise ValueError(f"`{word}.{path}` must be an absolute path in a pair, but got {value!r}")

    @property
    def both(self) -> tuple[Extractor, Extractor]:
        """The two networks."""
        return EXTRACTORS.build(self.first), EXTRACTORS.build(self.second)

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(part for extractor in self.both for part in extractor.parts)

    def check(self) -> None:
        for extractor in self.both:
            extractor.check()

    def downloads(self, cache_dir: Path) -> Sequence[Remote]:
        return [remote for extractor in self.both for remote in extractor.downloads(cache_dir)]

    def suits(self, image_shape: tuple[int, int, int], has_labels: bool) -> Suits:
        answers = [extractor.suits(image_shape, has_labels) for extractor in self.both]
        return next((answer for answer in answers if not answer.ok), answers[0])

    def weights(self, images: Images, cache_dir: Path) -> Weights:
        from trainable.extractors._pair import total_variance

        found = [extractor.weights(images, cache_dir) for extractor in self.both]
        real_NCHW = images.reference_NCHW[:_MAX_IMAGES]
        variances = [
            total_variance(extractor.network(images.image_shape, weights.state), real_NCHW)
            for extractor, weights in zip(self.both, found, strict=True)
        ]
        shares = (self.weight, 1 - self.weight)
        scales = [math.sqrt(share / variance) for share, variance in zip(shares, variances, strict=True)]
        state = {
            f"{nth}.{name}": value
            for nth, weights in enumerate(found)
            for name, value in weights.state.items()
        }
        state["scale_2"] = torch.tensor(scales, dtype=torch.float32)
        sha256s = " ".join(weights.sha256 for weights in found)
        return Weights(state, hashlib.sha256(f"{sha256s} {self.weight}".encode()).hexdigest())

    def network(self, image_shape: tuple[int, int, int], state: dict[str, Tensor]) -> "nn.Module":
        from trainable.extractors._pair import SideBySide

        networks = [
            extractor.network(image_shape, _under(f"{nth}.", state))
            for nth, extractor in enumerate(self.both)
        ]
        return SideBySide(networks, state["scale_2"])


def _under(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
