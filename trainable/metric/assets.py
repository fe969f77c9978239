"""Everything of a search that all its trials share: images, feature network, reference statistics.

Made once on the driver (`prepare`), sent once to every worker, used there by `FrechetMetric`.
Axes: N images, C channels, H height, W width, D features.
"""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainable.dataset import Dataset, model_input
from trainable.extractor import EXTRACTORS, Extractor, objective_name
from trainable.image_file import MappedTensor
from trainable.metric.cache import Entry, Made, cached
from trainable.metric.frechet import GaussianStats, frechet_distance
from trainable.own_process import in_own_process

# Images per pass of the feature network; fixed, so that results repeat bit for bit. Fewer where memory is short.
BATCH_SIZE = 500
# Features that are held at once; a reference of more images is made of parts.
PART = 65_536


@dataclass(frozen=True, eq=False)
class Assets:
    """Plain tensors and strings: picklable, with nothing in it that depends on a machine.

    `extractor_options` builds the feature network (`EXTRACTORS.build`), `extractor_state` fills it.
    `reference` covers all `images_NCHW`, the images that are learnt from, or held-out ones where the data set says so.
    `images_file`: where images lie that are too many for each process. They are then not pickled, but mapped where they
    are first asked for, which raises ValueError on a machine that does not have the file.
    """

    images_NCHW: Tensor
    image_shape: tuple[int, int, int]
    data_sha256: str
    objective: str
    extractor_name: str
    extractor_options: dict[str, Any]
    extractor_state: dict[str, Tensor]
    extractor_sha256: str
    extractor_accuracy: float | None
    reference: GaussianStats
    images_file: MappedTensor | None = None

    def __getstate__(self) -> dict[str, Any]:
        left_out = {"images_NCHW"} if self.images_file is not None else set()
        return {name: value for name, value in self.__dict__.items() if name not in left_out}

    def __getattr__(self, name: str) -> Any:
        file = self.__dict__.get("images_file")
        if name != "images_NCHW" or file is None:
            raise AttributeError(name)
        return self.__dict__.setdefault(name, file.open())


class _Features:
    """A feature network in float32, on a device, in batches of one size."""

    def __init__(
        self, extractor: Extractor, image_shape: tuple[int, int, int], state: dict[str, Tensor], device: str
    ):
        self.device = torch.device(device)
        self._network = extractor.network(image_shape, state).eval().to(self.device)

    def __call__(self, x_NCHW: Tensor, batch_size: int = BATCH_SIZE) -> Tensor:
        """float64 (N, D) on the device, for images as stored (uint8) or as sampled (cut to [-1, 1])."""
        # Reduced precision would make the same weights another network: off, whatever the trial uses.
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), torch.autocast(self.device.type, enabled=False), exact:
            features = [
                self._network(model_input(x_BCHW.to(self.device)).float().clamp(-1, 1)).double()
                for x_BCHW in x_NCHW.split(batch_size)
            ]
            return torch.cat(features)


def prepare(dataset: Dataset, extractor: Extractor, cache_dir: Path, device: str = "cpu") -> Assets:
    """Loads the data, gets the feature network and the reference statistics, all cached in `cache_dir`.

    The first time this may download and train (seconds for digits, a minute for Fashion-MNIST).
    Raises ValueError with one line when data or weights cannot be had or are not what they should be. A GPU is free of
    us again when this returns: the trials of this machine share all of it.
    """
    extractor.check()
    images = dataset.load(cache_dir)
    weights = extractor.weights(images, cache_dir)
    options = EXTRACTORS.describe(extractor)
    name = options["name"]

    def reference() -> Made:
        real = (
            images.in_file("test_x_NCHW" if images.held_out_reference else "x_NCHW") or images.reference_NCHW
        )
        work = partial(_reference, extractor, images.image_shape, weights.state, real, device)
        return work() if device == "cpu" else in_own_process(work)

    key: dict[str, Any] = {"data_sha256": images.sha256, "extractor_sha256": weights.sha256}
    if images.held_out_reference:
        key["of"] = "held out"
    entry = cached(cache_dir / "references", f"{images.name}-{name}", key, reference)
    stats = _reference_in(entry)
    return Assets(
        images_NCHW=images.x_NCHW,
        image_shape=images.image_shape,
        data_sha256=images.sha256,
        objective=objective_name(name),
        extractor_name=name,
        extractor_options=options,
        extractor_state=weights.state,
        extractor_sha256=weights.sha256,
        extractor_accuracy=weights.accuracy,
        reference=stats,
        images_file=images.in_file("x_NCHW"),
    )


def _reference(
    extractor: Extractor,
    image_shape: tuple[int, int, int],
    state: dict[str, Tensor],
    real: Tensor | MappedTensor,
    device: str,
) -> Made:
    features = _Features(extractor, image_shape, state, device)
    first, *parts = (real.open() if isinstance(real, MappedTensor) else real).split(PART)
    stats = GaussianStats.of(features(first))
    for part in parts:
        if len(part) > 1:  # one image alone has no covariance, and is not missed
            stats = stats.merged(GaussianStats.of(features(part)))
    stats = stats.cpu()
    tensors = {name: getattr(stats, name) for name in ("mean_D", "covariance_DD", "root_DD")}
    return tensors, {"n": stats.n}


def _reference_in(entry: Entry) -> GaussianStats:
    """With its root, which is sent along; older entries lack it."""
    mean_D, covariance_DD, n = entry.tensors["mean_D"], entry.tensors["covariance_DD"], int(entry.info["n"])
    root_DD = entry.tensors.get("root_DD")
    if root_DD is None:
        root_DD = GaussianStats(mean_D, covariance_DD, n).root_DD
    return GaussianStats.with_root(mean_D, covariance_DD, n, root_DD)


class FrechetMetric:
    """Frechet distance of `num_samples` generated images to the reference; lives for the whole search.

    A value belongs to its `objective`, `num_samples` and `extractor_sha256`: with any of them
    different it cannot be compared.
    """

    def __init__(self, assets: Assets, num_samples: int, device: str = "cpu"):
        if num_samples < 2:
            raise ValueError(f"`num_samples >= 2` must hold, but got num_samples={num_samples}")
        self.objective = assets.objective
        self.num_samples = num_samples
        self.extractor_sha256 = assets.extractor_sha256
        self._image_shape = assets.image_shape
        self._reference = assets.reference
        extractor = EXTRACTORS.build(assets.extractor_options)
        self._features = _Features(extractor, assets.image_shape, assets.extractor_state, device)

    def features(self, samples_NCHW: Tensor, batch_size: int = BATCH_SIZE) -> Tensor:
        """float64 (N, D) on the CPU; samples are cut to [-1, 1] first, as an image file would."""
        return self._features(samples_NCHW, batch_size).cpu()

    def __call__(self, samples_NCHW: Tensor, batch_size: int = BATCH_SIZE) -> float:
        """The distance; math.inf if a sample is not finite. ValueError for another number or shape."""
        expected = (self.num_samples, *self._image_shape)
        if tuple(samples_NCHW.shape) != expected:
            raise ValueError(
                f"Samples must have the shape {expected} of this search, but got {tuple(samples_NCHW.shape)}"
            )
        if not bool(torch.isfinite(samples_NCHW).all()):
            return math.inf
        # Summed on the device: 50,000 images of 2048 features take nine seconds of a CPU.
        stats = GaussianStats.of(self._features(samples_NCHW, batch_size)).cpu()
        return frechet_distance(self._reference, stats)
