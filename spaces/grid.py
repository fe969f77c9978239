"""The noise levels of a stage. Axis N: levels.

A new grid is one file in `spaces/grids/`: a frozen dataclass on `Grid` with a `levels_of`, its options,
their BOUNDS and the SPACE to search. See `spaces/grids/karras.py`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from spaces.arrays import Array, array_of, tensor_of
from spaces.choice import Choice
from spaces.curriculum import MAX_INTERVALS
from spaces.lazy_torch import Tensor
from spaces.registry import Registry, name_of


@dataclass(frozen=True, kw_only=True)
class Grid(Choice, ABC):
    """Noise levels between sigma_min and sigma_max, as many as the curriculum asks for."""

    sigma_min: float = 0.002
    sigma_max: float = 80.0

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {
        "sigma_min": (1e-6, 1e6),
        "sigma_max": (1e-6, 1e6),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 * self.sigma_min <= self.sigma_max:
            raise ValueError(
                "`2 * sigma_min <= sigma_max` must hold, "
                f"but got sigma_min={self.sigma_min}, sigma_max={self.sigma_max}"
            )

    @property
    def most_levels(self) -> int:
        """The largest N that the grid has."""
        return MAX_INTERVALS + 1

    @abstractmethod
    def levels_of(self, num_levels: int) -> Array | Tensor:
        """sigma_N for 2 <= num_levels <= most_levels; `noise_levels` makes the ends exact."""

    def sigmas(self, num_levels: int) -> Tensor:
        """`noise_levels` as a tensor."""
        return tensor_of(self.noise_levels(num_levels))

    def noise_levels(self, num_levels: int) -> Array:
        """sigma_N, float64, strictly increasing, exactly sigma_min and sigma_max at its ends."""
        if num_levels < 2:
            raise ValueError(f"`num_levels >= 2` must hold, but got num_levels={num_levels}")
        if num_levels > self.most_levels:
            raise ValueError(
                f"{num_levels} levels are needed, but the grid {name_of(self)} has {self.most_levels}"
            )
        sigma_N = array_of(self.levels_of(num_levels))
        sigma_N[0], sigma_N[-1] = self.sigma_min, self.sigma_max  # f(x, sigma_min) = x needs them exact
        return sigma_N


GRIDS: Registry[Grid] = Registry("spaces.grids", Grid, "grid")  # type: ignore[type-abstract]
