"""What a network is: F(x_BCHW, c_noise_B) -> (B, C, H, W), sized by the search file.

Its options are read by every command, most of which need no torch: what is built lies in `network_module.py`, and for
the networks here in `_NAME.py` beside their options. Axes: B images, C channels, H height, W width.
"""

import hashlib
import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from spaces.registry import STRICT, Registry, name_of, options_of

if TYPE_CHECKING:
    from trainable.network_module import SLOW_WAVES, NetworkModule, NoiseFeatures, draw_linear_

__all__ = ["NETWORKS", "SLOW_WAVES", "Network", "NetworkModule", "NoiseFeatures", "draw_linear_"]


@dataclass(frozen=True)
class Code:
    """A file as it was read once: it goes to other processes as text, and what runs is what `sha256` says."""

    path: str
    text: bytes

    @property
    def name(self) -> str:
        return Path(self.path).name

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Network(ABC):
    """Base of `trainable/networks/`: the fields are what a search file may set, `build` does the work.

    BOUNDS: the closed interval of values that a numeric option accepts; anything else raises ValueError.
    """

    __pydantic_config__ = STRICT
    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {}
    # Options that name a file: relative to the search file, and no part of what a search is.
    PATHS: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        for option, (low, high) in self.BOUNDS.items():
            if not low <= getattr(self, option) <= high:
                raise ValueError(
                    f"`{low} <= {option} <= {high}` must hold, but got {option}={getattr(self, option)!r}"
                )

    @property
    def code(self) -> Code | None:
        """The user's file that it is in, as it was read; None for one of ours. ValueError where it is not there."""
        return None

    @property
    def title(self) -> str:
        """What people call it."""
        return name_of(self)

    def identity(self) -> dict[str, Any]:
        """What makes it this network, as plain data: what a checkpoint must agree with."""
        return {"name": name_of(self), **options_of(self)}

    def check(self) -> None:
        """Quick: ValueError with one line where a file is missing."""
        return

    def told(self, error: BaseException) -> str:
        """What went wrong in it, in one line."""
        return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"

    @abstractmethod
    def build(self, image_shape: tuple[int, int, int]) -> "NetworkModule":
        """F for images of shape (C, H, W). ValueError for images that it cannot take."""


NETWORKS: Registry[Network] = Registry("trainable.networks", Network, "network")  # type: ignore[type-abstract]


def __getattr__(name: str) -> Any:
    """What a network is built from, imported when it is asked for: torch comes with it, which options do without."""
    if name in __all__:
        return getattr(importlib.import_module("trainable.network_module"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
