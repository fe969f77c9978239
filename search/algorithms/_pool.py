"""Candidates that stay for a while: in a large search each proposal looks at many, and draws only a few."""

import random
from collections.abc import Mapping
from typing import Any, NamedTuple

from spaces import SearchSpace
from spaces.space.neighbour import Neighbour, neighbour

SHARES = (0.05, 0.2)  # how far from the trial that a candidate is drawn near: a small or a larger step
STAY = 16  # proposals for which a candidate stays
_ANYWHERE = -1


class Key(NamedTuple):
    """A candidate: the `nth` that is drawn near trial `parent`, or anywhere."""

    parent: int
    nth: int


class Pool:
    """The candidates of one study, drawn anywhere or near its best trials.

    They follow from the seed, the best trials and how many there are, so that a new driver has the same.
    seed: the search's. anywhere, near: how many are drawn for each proposal.
    """

    def __init__(self, space: SearchSpace, seed: int, *, anywhere: int, near: int):
        self._space, self._seed, self._anywhere, self._near = space, seed, anywhere, near
        self._made: dict[Key, Neighbour] = {}
        self._gone: set[Key] = set()

    def at(self, count: int, parents: Mapping[int, Mapping[str, Any]]) -> Mapping[Key, Neighbour]:
        """Those of the proposal that `count` trials precede. parents: parameters of the best of these, by trial."""
        first, last = (number * self._anywhere for number in (count - STAY, count))
        keys = [Key(_ANYWHERE, nth) for nth in range(first, last)]
        stay = -(-STAY * self._near // len(parents))
        for parent in parents:
            # Not all get another one at the same proposal: as many are drawn each time.
            last = (count + parent) * self._near // len(parents)
            keys += [Key(parent, nth) for nth in range(last - stay, last)]
        self._gone.intersection_update(keys)
        self._made = {
            key: self._made.get(key) or self._draw(key, parents.get(key.parent, {}))
            for key in keys
            if key not in self._gone
        }
        return self._made

    def _draw(self, key: Key, params: Mapping[str, Any]) -> Neighbour:
        rng = random.Random(f"{self._seed}/{key.parent}/{key.nth}")
        return neighbour(self._space, params, 1.0 if key.parent == _ANYWHERE else rng.choice(SHARES), rng)

    def remove(self, key: Key) -> None:
        """It was proposed, or may not be."""
        self._gone.add(key)
