import itertools
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from spaces.arrays import Array, Numbers
from spaces.noise_distribution import NoiseDistribution

MAX_BINS = 4096


@dataclass(frozen=True, kw_only=True)
class Tabulated(NoiseDistribution):
    """Plain numbers, a fixed share for each bin: iCT's discretised law is one (arXiv:2310.14189), a schedule found too.

    What adaptive and learned schedules become when they are written down.
    weights: of the bins, in increasing noise; they need not sum to 1. sigmas: the bins' edges, one more than
    weights. Without them the bins cut the normalised index i/M into equal parts, which a change of N leaves
    where they are. With them they lie on the axis of noise levels, where neither N nor rho moves them.
    Inside a bin the density is even: over the index, or over ln sigma. Bins outside the grid are cut off.

    importance_weights: weigh the loss of an interval of probability p by 1/(M p), so that the expected
    objective is that of uniform sampling and the probabilities change only its noise.

    No search proposes it by itself; the default, one bin, is uniform.
    """

    weights: tuple[float, ...] = (1.0,)
    sigmas: tuple[float, ...] | None = None
    importance_weights: bool = False

    SEARCHED: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        num = len(self.weights)
        if not 1 <= num <= MAX_BINS:
            raise ValueError(f"`weights` must be 1 to {MAX_BINS} numbers, but got {num}")
        for weight in self.weights:
            if not 0 <= weight < math.inf:
                raise ValueError(f"`weights` must be finite and >= 0, but got {weight!r}")
        if not 0 < sum(self.weights) < math.inf:
            raise ValueError(f"`weights` must have a finite sum > 0, but got {sum(self.weights)!r}")
        if self.sigmas is None:
            return
        if len(self.sigmas) != num + 1:
            raise ValueError(
                f"`sigmas` must be one more than weights, but got {len(self.sigmas)} for {num} weights"
            )
        if not all(0 < low < high < math.inf for low, high in itertools.pairwise(self.sigmas)):
            raise ValueError("`sigmas` must be > 0, finite and increasing: they are the edges of the bins")

    def probabilities(self, sigma_N: Array) -> Array:
        weight_J = np.array(self.weights)
        to_edges = index_edges(len(sigma_N) - 1) if self.sigmas is None else np.log(sigma_N)
        p_M = rebinned(weight_J / weight_J.max(), self._edges(), to_edges)
        if not p_M.sum() > 0:
            raise ValueError(
                f"{self.describe()} has no mass between sigma={sigma_N[0]:g} and sigma={sigma_N[-1]:g}. "
                "Move its `sigmas`, or the grid"
            )
        return p_M / p_M.sum()

    def loss_weights(self, probability_M: Numbers) -> Numbers | None:
        return importance(probability_M) if self.importance_weights else None

    def _edges(self) -> Array:
        """Of the bins, on their axis: normalised index or ln sigma."""
        if self.sigmas is None:
            return index_edges(len(self.weights))
        return np.log(self.sigmas)

    def describe(self) -> str:
        """The number of bins and the median on their axis: `tabulated(bins=32, median_u=0.41)`."""
        weight_J = np.array(self.weights)
        edges = self._edges()
        below_J1 = np.concatenate([[0.0], np.cumsum(weight_J / weight_J.sum())])
        i = min(int((below_J1 <= 0.5).sum()), len(weight_J)) - 1
        inside = (0.5 - below_J1[i]) / (below_J1[i + 1] - below_J1[i])
        median = (edges[i] + inside * (edges[i + 1] - edges[i])).item()
        where = f"median_u={median:.4g}" if self.sigmas is None else f"median_sigma={math.exp(median):.4g}"
        weighted = ", importance_weights=True" if self.importance_weights else ""
        return f"tabulated(bins={len(self.weights)}, {where}{weighted})"


def index_edges(num: int) -> Array:
    """Edges of `num` equal parts of the normalised index, float64, from 0 to 1."""
    return np.arange(num + 1) / num


def importance(probability_M: Numbers) -> Numbers:
    """weight_M = 1/(M p): with it the expected objective is that of uniform sampling. 1 where nothing is drawn."""
    return 1 / (len(probability_M) * probability_M + (probability_M <= 0))


def rebinned(values_A: Array, of_edges: Array, to_edges: Array) -> Array:
    """(B, ...): values of the bins `of_edges`, spread evenly over their lengths, added up over `to_edges`.

    values_A: (A, ...) float64. What lies outside `to_edges` is lost. Sums of non-negative parts only, so a small
    value beside a large one keeps its precision.
    """
    edges = np.unique(np.concatenate([of_edges, to_edges]))
    middle = (edges[1:] + edges[:-1]) / 2
    a, b = (np.searchsorted(one, middle, side="right") - 1 for one in (of_edges, to_edges))
    inside = (a >= 0) & (a < len(of_edges) - 1) & (b >= 0) & (b < len(to_edges) - 1)
    a, b = a[inside], b[inside]
    part = np.diff(edges)[inside] / np.diff(of_edges)[a]
    moved = np.zeros((len(to_edges) - 1, *values_A.shape[1:]))
    np.add.at(moved, b, values_A[a] * part.reshape(-1, *[1] * (values_A.ndim - 1)))
    return moved
