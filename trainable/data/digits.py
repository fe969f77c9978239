"""1,797 real handwritten digits, 8x8 grey, that scikit-learn ships: no download."""

import gzip
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from spaces.lazy_torch import torch
from trainable.dataset import Dataset, Images

SHA256 = "49aad9b25b543d1d35cd3dad9415e7ffe9eadf4c119640e1c7cf2d97f45b0102"


@dataclass(frozen=True, kw_only=True)
class Digits(Dataset):
    """1,797 real handwritten digits, 8x8 grey, shipped with scikit-learn (no download).

    Test part of Alpaydin and Kaynak 1998, UCI "Optical Recognition of Handwritten Digits". Values
    0..16 become -1..1. No held-out split: there are few images, and all are learnt from.
    """

    NETWORK: ClassVar[str] = "film_mlp"
    EXTRACTOR: ClassVar[str] = "digits_cnn"
    SECOND_EXTRACTOR: ClassVar[Mapping[str, Any]] = {
        **{"name": "strided_cnn", "width": 32, "epochs": 40},
        **{"learning_rate": 0.01, "min_accuracy": 0.95},
    }

    def load(self, cache_dir: Path) -> Images:
        """x_NCHW float32 (1797, 1, 8, 8); ValueError if scikit-learn's copy is not the known one."""
        table = torch.from_numpy(digits_table())
        images = Images(
            name="digits",
            x_NCHW=table[:, :-1].to(torch.float32).div_(8).sub_(1).view(-1, 1, 8, 8).contiguous(),
            y_N=table[:, -1].to(torch.int64),
        )
        if images.sha256 != SHA256:
            raise ValueError(
                f"scikit-learn's digits must have SHA-256 {SHA256}, but this copy has {images.sha256}. "
                "Reinstall scikit-learn."
            )
        return images


@lru_cache(maxsize=1)
def digits_table() -> NDArray[np.float64]:
    """64 values and a label for each image: the file that scikit-learn's `load_digits` reads.

    Read without scikit-learn, whose import takes as long as all else that a short command does.
    """
    found = importlib.util.find_spec("sklearn")
    path = (
        Path(found.origin if found and found.origin else ".").parent / "datasets" / "data" / "digits.csv.gz"
    )
    try:
        with gzip.open(path, "rt") as file:
            return np.loadtxt(file, delimiter=",")
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(
            f"scikit-learn's digits cannot be read ({error}). Reinstall scikit-learn."
        ) from error
