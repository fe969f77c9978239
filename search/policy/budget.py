"""Budgets of time: what a search has spent, and whether something more can still end within its limits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search.policy.plan import Plan, TimeLimits

# Of a budget of time, this share is kept for the confirmation; less where the whole race costs less.
CONFIRM_SHARE = 0.3


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

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Go on from what was kept, if that is later than what is known; {} is nothing."""
        if kept and kept["trial_seconds"] >= self.trials:
            self.wall, self.trials, self.steps = kept["wall_seconds"], kept["trial_seconds"], kept["steps"]

    def fits(self, limits: TimeLimits, need: TimeNeed, reserve: TimeNeed) -> bool:
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


class Budget:
    """Whether more steps can end within the limits of a search.

    spending: what it has spent, counted by the driver.
    """

    def __init__(self, plan: Plan):
        self._plan = plan
        self.spending = Spending()

    def affords(self, steps: int, *, open_steps: int = 0, reserve: bool = False) -> bool:
        """Whether `steps` more steps of one trial can end within the budget.

        open_steps: what trials that are open may still use. reserve: what the confirmation needs is kept back.
        """
        slots = self._plan.max_concurrent
        seconds_for = self.spending.seconds_for
        trials = seconds_for(steps + open_steps)
        # A trial runs from its start to its end in one slot, the steps of all are spread over all slots.
        need = TimeNeed(wall=max(seconds_for(steps), trials / slots), trials=trials)
        return self.spending.fits(self._plan.limits, need, self._confirmation() if reserve else TimeNeed())

    def wall_left(self) -> list[tuple[float, float]]:
        """(what is left, the whole) of each limit, in seconds for which all slots can be busy."""
        limits, slots, spent = self._plan.limits, self._plan.max_concurrent, self.spending
        parts = [
            (limits.hours, 1.0, spent.wall),
            (limits.cpu_hours, limits.cpu * slots, spent.trials / slots),
            (limits.gpu_hours, limits.gpu * slots, spent.trials / slots),
        ]
        wholes = [
            (hours * 3600 / at_once, used)
            for hours, at_once, used in parts
            if hours is not None and at_once > 0
        ]
        return [(max(0.0, whole - used), whole) for whole, used in wholes]

    def _confirmation(self) -> TimeNeed:
        race = self._plan.race
        if race is None:
            return TimeNeed()
        whole = self.spending.seconds_for(self._plan.total_steps)
        return TimeNeed(
            wall=race.most_turns(self._plan.max_concurrent) * whole, trials=race.most_trials * whole
        )
