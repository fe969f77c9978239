"""What a search has spent, and whether something more can still end within its budget."""

from dataclasses import dataclass
from typing import Any

# Of a budget of time, this share is kept for the confirmation; less where the whole race costs less.
CONFIRM_SHARE = 0.3


@dataclass(frozen=True, kw_only=True)
class TimeLimits:
    """Budgets of time; None: no limit. Whichever is reached first ends the search.

    hours: wall-clock, while the search was running. cpu_hours, gpu_hours: of slices, a trial that
    holds `cpu` and `gpu` of a machine for an hour costs that many.
    """

    hours: float | None = None
    cpu_hours: float | None = None
    gpu_hours: float | None = None
    cpu: float = 1.0
    gpu: float = 0.0


@dataclass(frozen=True, kw_only=True)
class TimeNeed:
    """What is still to be spent, in seconds. wall: until the last of it can have ended. trials: of all trials."""

    wall: float = 0.0
    trials: float = 0.0


@dataclass
class Spending:
    """Counts time as trials hold their slots. All in seconds.

    wall: while at least one trial was open. trials: summed over open trials. steps: optimizer steps that were
    paid with it.
    """

    wall: float = 0.0
    trials: float = 0.0
    steps: int = 0
    _last: float | None = None

    def tick(self, now: float, num_open: int) -> None:
        """Time has gone on to `now`, with `num_open` trials since the last call."""
        if self._last is not None and num_open:
            elapsed = max(0.0, now - self._last)
            self.wall += elapsed
            self.trials += elapsed * num_open
        self._last = now

    def to_dict(self) -> dict[str, Any]:
        """Plain values, to be kept with the study."""
        return {"wall_seconds": self.wall, "trial_seconds": self.trials, "steps": self.steps}

    def restore(self, kept: dict[str, Any]) -> None:
        """Go on from what was kept, if that is later than what is known; {} is nothing."""
        if kept and kept["trial_seconds"] >= self.trials:
            self.wall, self.trials, self.steps = kept["wall_seconds"], kept["trial_seconds"], kept["steps"]

    def fits(self, limits: TimeLimits, need: "TimeNeed", reserve: "TimeNeed") -> bool:
        """Whether `need` can be met within the limits, and `reserve` after it.

        Of the reserve at most CONFIRM_SHARE of a limit is kept.
        """
        left = [
            (limits.hours, self.wall, need.wall, reserve.wall, 1.0),
            (limits.cpu_hours, self.trials, need.trials, reserve.trials, limits.cpu),
            (limits.gpu_hours, self.trials, need.trials, reserve.trials, limits.gpu),
        ]
        for hours, spent, needed, kept, per_trial in left:
            if hours is not None and per_trial > 0:
                whole = hours * 3600 / per_trial
                if not (spent < whole and spent + needed + min(kept, CONFIRM_SHARE * whole) <= whole):
                    return False
        return True

    def seconds_for(self, steps: int) -> float:
        """Expected trial seconds for `steps` more steps, as fast as so far; 0 before anything is known."""
        return self.trials / self.steps * steps if self.steps else 0.0
