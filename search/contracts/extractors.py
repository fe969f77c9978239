import tempfile
from pathlib import Path

import torch

from search.contracts._promise import Promise, at_its_defaults, documented, need, plain_data
from trainable.dataset import Images
from trainable.extractor import EXTRACTORS, Extractor

_SIDE, _NUM = 8, 120


def it_is_described(name: str) -> None:
    cls: type[Extractor] = EXTRACTORS[name]
    documented(cls)
    if (extractor := at_its_defaults(EXTRACTORS, name)) is not None:
        plain_data(EXTRACTORS, extractor)


def features_are_those_of_each_image_for_itself(name: str) -> None:
    """On random images, where it takes them and needs no file or training of its own."""
    extractor: Extractor | None = at_its_defaults(EXTRACTORS, name)
    if extractor is None or extractor.DATA is not None:
        return
    shape = (3, _SIDE, _SIDE)
    x_NCHW = torch.rand((_NUM, *shape), generator=torch.Generator().manual_seed(0)) * 2 - 1
    if not extractor.suits(shape, False).ok:
        return
    with tempfile.TemporaryDirectory() as folder:
        if extractor.downloads(Path(folder)):
            return
        weights = extractor.weights(Images(name="random", x_NCHW=x_NCHW), Path(folder))
    network = extractor.network(shape, weights.state).eval()
    with torch.inference_mode():
        together = network(x_NCHW[:4])
        alone = torch.cat([network(x_NCHW[i : i + 1]) for i in range(4)])
    need(together.ndim == 2 and together.dtype == torch.float32, "features must be float32 (B, D)")
    need(together.isfinite().all(), "features must be finite")
    need(
        torch.allclose(together, alone, rtol=1e-4, atol=1e-5),
        "an image has other features in a batch than alone",
    )


PROMISES: tuple[Promise, ...] = (it_is_described, features_are_those_of_each_image_for_itself)
