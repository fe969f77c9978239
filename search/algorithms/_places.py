"""Where trials and candidates of a study stand to each other, worked out once for each.

Axes: K keys, L other keys, R rows that are kept, D coordinates of an embedding.
"""

from collections.abc import Collection, Hashable, Sequence

import numpy as np

from search.algorithms._surrogate import Floats

_FIRST_ROWS = 256


class Places:
    """Embeddings by key, and the correlation exp(-squared distance) of each with every other."""

    def __init__(self) -> None:
        self._row_of: dict[Hashable, int] = {}
        self._free: list[int] = []
        self._embedding_RD = self._correlation_RR = np.empty((0, 0))
        self._square_R = np.empty(0)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._row_of

    def put(self, key: Hashable, embedding_D: Floats) -> None:
        """`key`, which is new, stands there."""
        if not self._free:
            self._grow(len(embedding_D))
        row = self._free.pop()
        self._row_of[key] = row
        self._embedding_RD[row] = embedding_D
        self._square_R[row] = square = np.einsum("d,d", embedding_D, embedding_D)
        # No matrix product: in that a row's rounding depends on where it stands, which a new driver does not know.
        apart_R = self._square_R + square - 2 * np.einsum("rd,d->r", self._embedding_RD, embedding_D)
        self._correlation_RR[row] = self._correlation_RR[:, row] = np.exp(-np.maximum(apart_R, 0.0))

    def _grow(self, num_coordinates: int) -> None:
        before = len(self._embedding_RD)
        rows = max(_FIRST_ROWS, 2 * before)
        kept = self._embedding_RD, self._square_R, self._correlation_RR
        self._embedding_RD, self._square_R = np.zeros((rows, num_coordinates)), np.zeros(rows)
        self._correlation_RR = np.zeros((rows, rows))
        if before:
            self._embedding_RD[:before], self._square_R[:before] = kept[0], kept[1]
            self._correlation_RR[:before, :before] = kept[2]
        self._free = list(reversed(range(before, rows)))

    def forget_but(self, keys: Collection[Hashable]) -> None:
        """Keep these."""
        for key in self._row_of.keys() - keys:
            self._free.append(self._row_of.pop(key))

    def embeddings(self, keys: Sequence[Hashable]) -> Floats:
        """(K, D)."""
        return self._embedding_RD[[self._row_of[key] for key in keys]]

    def correlations(self, keys: Sequence[Hashable], others: Sequence[Hashable]) -> Floats:
        """(K, L)."""
        rows, columns = ([self._row_of[key] for key in some] for some in (keys, others))
        return self._correlation_RR[np.ix_(rows, columns)]
