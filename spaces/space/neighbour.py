"""Schedules near another one in a search space."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from spaces.schedule import NoiseSchedule
from spaces.space.search_space import SearchSpace

_OTHER_FAMILY = 0.1  # probability that a family, or any other choice, is drawn anew


class Neighbour(NamedTuple):
    """A schedule of the space, and the Optuna parameters that give it."""

    params: dict[str, Any]
    schedule: NoiseSchedule


def neighbour(space: SearchSpace, params: Mapping[str, Any], share: float, rng: random.Random) -> Neighbour:
    """A schedule drawn near the one that `params` give: its numbers moved, its families mostly kept.

    share: standard deviation of the move, as a share of a parameter's range (of its logarithm, if that is searched).
    What is not in `params` is drawn anywhere; so with none at all, the schedule is.
    """
    drawn = _Drawn(params, share, rng)
    return Neighbour(drawn.params, space.suggest(drawn))


@dataclass
class _Drawn:
    """An Optuna trial, as far as a search space asks for one."""

    near: Mapping[str, Any]
    share: float
    rng: random.Random
    params: dict[str, Any] = field(default_factory=dict)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        if log:
            value = math.exp(self._number(name, math.log(low), math.log(high), math.log))
        else:
            value = self._number(name, low, high, float)
        if step is not None:
            value = low + step * round((value - low) / step)
        self.params[name] = min(max(value, low), high)
        return float(self.params[name])

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        if log:
            value = round(math.exp(self._number(name, math.log(low), math.log(high), math.log)))
        else:
            value = low + step * round((self._number(name, low, high, float) - low) / step)
        self.params[name] = min(max(value, low), high)
        return int(self.params[name])

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        if name not in self.near or self.rng.random() < _OTHER_FAMILY:
            self.params[name] = self.rng.choice(choices)
        else:
            self.params[name] = self.near[name]
        return self.params[name]

    def _number(self, name: str, low: float, high: float, scale: Callable[[float], float]) -> float:
        if name not in self.near:
            return self.rng.uniform(low, high)
        value = scale(self.near[name]) + self.rng.gauss(0, self.share * (high - low))
        if not low < high:
            return low
        # Reflected at the ends: cut off there, half of what is drawn near an end would lie on it.
        beyond = (value - low) % (2 * (high - low))
        return low + min(beyond, 2 * (high - low) - beyond)
