"""A rule of a search space: how much of a training must be at both ends of the noise levels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from spaces.schedule import NoiseSchedule
from spaces.thin_ends import HIGH, LOW, shares

_SIGMA_DATA = 0.5
# So many steps stand for a training where their shares are so far from the rule: of 500 schedules of all families none
# had shares further than .032, and .019, from those over 2,000 steps.
_FEW_STEPS = {16: 0.05, 32: 0.03}


@dataclass(frozen=True, kw_only=True)
class LeastEnds:
    """At least `share` of the draws of a training are below sigma `low`, and as many above `high`.

    Laws that leave an end out win in one network and fail in another: docs/why-schedules-transfer.md.
    """

    share: float
    low: float = LOW * _SIGMA_DATA
    high: float = HIGH * _SIGMA_DATA

    def __post_init__(self) -> None:
        if not 0 < self.share < 0.5:
            raise ValueError(f"`0 < share < 0.5` must hold, but got share={self.share!r}")
        if not 0 < self.low <= self.high:
            raise ValueError(f"`0 < low <= high` must hold, but got low={self.low!r}, high={self.high!r}")

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> Self:
        """Of the section of a search file. ValueError in one line."""
        if "share" not in given:
            raise ValueError(f"`share` is needed, but got {dict(given)!r:.60}")
        for key, value in given.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"`{key}` must be a number, but got {value!r:.60}")
        return cls(**{key: float(value) for key, value in given.items()})

    def allow(self, schedule: NoiseSchedule, total_steps: int) -> bool:
        """Whether `schedule` has so much there. A law that adapts in training may come to it: it has."""
        if schedule.noise.ADAPTIVE:
            return True
        for steps, clear in _FEW_STEPS.items():
            if steps < total_steps and abs((least := self._least(schedule, steps)) - self.share) > clear:
                return least >= self.share
        return self._least(schedule, total_steps) >= self.share

    def _least(self, schedule: NoiseSchedule, total_steps: int) -> float:
        found = shares(schedule, total_steps, self.low, self.high)
        return min(found.below, found.above)

    def to_dict(self) -> dict[str, float]:
        return {"share": self.share, "low": self.low, "high": self.high}
