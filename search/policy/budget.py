"""Budgets of time: what a search has spent, and whether something more can still end within its limits."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from search.evidence.shortlist import most_entries
from search.policy.plan import Plan, TimeLimits
from search.record import Purpose
from trainable.task import OWN

# Of a budget of time, this share is kept for the confirmation, and as much for other settings; less where these cost
# less.
CONFIRM_SHARE = 0.3


LATER = (Purpose.CONFIRM, Purpose.HOLD)  # what comes after the search; with the latter the shortlist


@dataclass(frozen=True, kw_only=True)
class TimeNeed:
    """What is still to be spent, in seconds. wall: until the last of it can have ended. trials: of all trials."""

    wall: float = 0.0
    trials: float = 0.0


@dataclass
class Spending:
    """Counts time as trials hold their slots. All in seconds.

    wall: while at least one trial was open. trials: summed over open trials. slots: the same of the slots that they
    held, of which a stacked trial has its share. steps: optimizer steps that were paid with it. elsewhere: how much of
    these was in other settings than the search's, by setting.
    """

    wall: float = 0.0
    trials: float = 0.0
    slots: float = 0.0
    steps: int = 0
    elsewhere: dict[str, "Spending"] = field(default_factory=dict)
    _last: float | None = None

    def tick(self, now: float, open_in: Mapping[str, int], stack: int = 1) -> None:
        """Time has gone on to `now`, with so many open trials by setting since the last call, `stack` to a slot."""
        if self._last is not None and open_in:
            elapsed = max(0.0, now - self._last)
            self.wall += elapsed
            self._hold(elapsed * sum(open_in.values()), stack)
            for setting, num_open in open_in.items():
                if setting != OWN:
                    self.elsewhere.setdefault(setting, Spending())._hold(elapsed * num_open, stack)
        self._last = now

    def _hold(self, seconds: float, stack: int) -> None:
        self.trials += seconds
        self.slots += seconds / stack

    def pay(self, steps: int, setting: str) -> None:
        """So many more steps were done there."""
        self.steps += steps
        if setting != OWN:
            self.elsewhere.setdefault(setting, Spending()).steps += steps

    @property
    def own_trials(self) -> float:
        """Of `trials`, those in the search's own setting."""
        return self.trials - sum(other.trials for other in self.elsewhere.values())

    @property
    def own_steps(self) -> int:
        """Of `steps`, those in the search's own setting."""
        return self.steps - sum(other.steps for other in self.elsewhere.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain values, to be kept with the study."""
        plain: dict[str, Any] = {
            "wall_seconds": self.wall,
            "trial_seconds": self.trials,
            "steps": self.steps,
        }
        if self.slots != self.trials:
            plain["slot_seconds"] = self.slots
        if self.elsewhere:
            plain["elsewhere"] = {setting: own.to_dict() for setting, own in self.elsewhere.items()}
        return plain

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Go on from what was kept, if that is later than what is known; {} is nothing."""
        if kept and kept["trial_seconds"] >= self.trials:
            self.wall, self.trials, self.steps = kept["wall_seconds"], kept["trial_seconds"], kept["steps"]
            self.slots = kept.get("slot_seconds", self.trials)
            for setting, own in kept.get("elsewhere", {}).items():
                self.elsewhere.setdefault(setting, Spending()).restore(own)

    def fits(self, limits: TimeLimits, need: TimeNeed, reserves: Collection[TimeNeed]) -> bool:
        """Whether `need` can be met within the limits, and `reserves` after it.

        Of each reserve at most CONFIRM_SHARE of a limit is kept.
        """
        walls, slots = [kept.wall for kept in reserves], [kept.trials / limits.stack for kept in reserves]
        left = [
            (limits.hours, self.wall, need.wall, walls, 1.0),
            (limits.cpu_hours, self.slots, need.trials / limits.stack, slots, limits.cpu),
            (limits.gpu_hours, self.slots, need.trials / limits.stack, slots, limits.gpu),
        ]
        for hours, spent, needed, reserved, at_once in left:
            if hours is not None and at_once > 0:
                whole = hours * 3600 / at_once
                kept = sum(min(seconds, CONFIRM_SHARE * whole) for seconds in reserved)
                if not (spent < whole and spent + needed + kept <= whole):
                    return False
        return True

    def seconds_for(self, steps: int, setting: str = OWN) -> float:
        """Expected trial seconds for `steps` more steps, as fast as so far there; 0 before anything is known.

        In another setting of which nothing is known, as fast as in the search's.
        """
        there = self.elsewhere.get(setting)
        if there is not None and there.steps:
            return there.trials / there.steps * steps
        return self.own_trials / self.own_steps * steps if self.own_steps else 0.0


class Budget:
    """Whether more steps can end within the limits of a search.

    spending: what it has spent, counted by the driver.
    """

    def __init__(self, plan: Plan):
        self._plan = plan
        self.spending = Spending()

    def affords(
        self, steps: int, *, setting: str = OWN, open_steps: int = 0, reserve: Collection[Purpose] = ()
    ) -> bool:
        """Whether `steps` more steps of one trial can end within the budget.

        setting: of that trial. open_steps: what trials that are open may still use. reserve: for which
        of LATER time is kept back.
        """
        slots = self._plan.max_concurrent
        seconds_for = self.spending.seconds_for
        own = seconds_for(steps, setting)
        trials = own + seconds_for(open_steps)
        # A trial runs from its start to its end in one slot, the steps of all are spread over all slots.
        need = TimeNeed(wall=max(own, trials / slots), trials=trials)
        needs = {Purpose.CONFIRM: self._confirmation, Purpose.HOLD: self._in_settings}
        kept = [needs[purpose]() for purpose in reserve]
        return self.spending.fits(self._plan.limits, need, kept)

    def wall_left(self) -> list[tuple[float, float]]:
        """(what is left, the whole) of each limit, in seconds for which all slots can be busy."""
        limits, spent = self._plan.limits, self.spending
        slots = self._plan.max_concurrent / limits.stack
        parts = [
            (limits.hours, 1.0, spent.wall),
            (limits.cpu_hours, limits.cpu * slots, spent.slots / slots),
            (limits.gpu_hours, limits.gpu * slots, spent.slots / slots),
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

    def _in_settings(self) -> TimeNeed:
        holds = self._plan.holds
        if holds is None:
            return TimeNeed()
        seconds_for = self.spending.seconds_for
        listed = most_entries(holds, self._plan.race.top) if self._plan.race is not None else {}
        trials = sum(
            seconds_for(steps, setting) * (holds.most_trials + listed.get(setting, 0))
            for setting, steps in holds.settings.items()
        )
        return TimeNeed(wall=trials / self._plan.max_concurrent, trials=trials)
