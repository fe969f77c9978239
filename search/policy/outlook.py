"""How long a search still takes: what is left to train, at the pace of what was trained."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from search.policy.agenda import Agenda
from search.policy.budget import CONFIRM_SHARE
from search.policy.elsewhere_left import elsewhere_left
from search.policy.pace import Pace
from search.policy.pace_elsewhere import Ratio, training_share
from search.policy.race_left import race_left
from search.policy.span import Span, together
from search.policy.survival import Steps, Survival, total
from search.record import SEARCHED, Purpose, State, TrialRecord

_Z = 1.64  # nine of ten numbers of steps lie within so many standard deviations
# How far the pace of what is left is from that of the window: schedules differ, and so does the load of machines.
# Where that has changed by more of late, it may do so again.
_PACE_ERROR = 0.1
# What is computed when nothing is trained any more: a distance takes less than a measured rung, which is kept too.
_OF_A_RUNG, _AFTER_FACTOR = 0.6, 2.0


@dataclass(frozen=True)
class Outlook:
    """What is known of the rest. steps: done by all slots together in the last `seconds`.

    least, most: seconds that are left, None before anything was measured; most may be without end.
    """

    steps: int
    seconds: float
    least: float | None = None
    most: float | None = None


class Forecast:
    """Foretells the end of a search. agenda: its own, which is kept up to date."""

    def __init__(self, agenda: Agenda):
        self._agenda, self._plan = agenda, agenda.plan
        self._survival = Survival(agenda.plan)
        self._pace = Pace(agenda.spending)
        self.ratios: Mapping[str, Ratio] = {}  # by setting, what was timed there

    def heard(self) -> None:
        """A trial has gone on."""
        self._pace.heard(self._agenda.spending)

    def outlook(self, open_steps: Mapping[int, int]) -> Outlook:
        """As of now. open_steps: of the trials that run, the steps that each has done."""
        cost = self._pace.slot_seconds_per_step
        # Before a rung was measured, what measuring costs is not in the pace.
        if cost is None or not any(record.reports for record in self._agenda.records.values()):
            return Outlook(*self._pace.window)
        self._survival.learn(reversed(self._agenda.ledger.records.values()))
        race = race_left(self._agenda, over=self._is_confirming())
        whole = self._plan.total_steps * cost
        confirming = Span(*(whole * turns for turns in race.turns(self._plan.max_concurrent)))
        elsewhere = elsewhere_left(self._agenda, open_steps, cost, self.ratios, self._finishing(open_steps))
        trained = self._within_limits(self._training(open_steps, cost, race.now), confirming, elsewhere)
        left = together([trained, self._after(cost)])
        return Outlook(*self._pace.window, left.least, left.most)

    def _after(self, cost: float) -> Span:
        """What is computed when nothing is trained any more."""
        plan = self._plan
        if not plan.distances_after:
            return Span()
        measuring = 1 - training_share(reversed(self._agenda.ledger.records.values()))
        rung = measuring * cost * plan.total_steps / len(plan.rungs)
        return Span.within(plan.distances_after * _OF_A_RUNG * rung, _AFTER_FACTOR)

    def _is_confirming(self) -> bool:
        """Whether the finalists are known."""
        agenda = self._agenda
        return (
            agenda.next_baseline() is None
            and not agenda.may_propose()
            and not agenda.ledger.is_running(*SEARCHED)
        )

    def _training(self, open_steps: Mapping[int, int], cost: float, num_racing: int) -> Span:
        """Seconds for all that slots may take up at once. num_racing: such trials of the race."""
        slots, total_steps = self._plan.max_concurrent, self._plan.total_steps
        records = self._agenda.records
        done = {
            number: open_steps.get(number, _measured(records[number]))
            for number in self._agenda.ledger.running
            if records[number].is_comparable
        }
        opened = [self._open(records[number], step) for number, step in done.items()]
        fixed = self._num_fixed() + num_racing
        proposals = self._survival.of_new(self._num_proposals())
        everything = total([*opened, Steps(fixed * total_steps), proposals])
        spread = _Z * math.sqrt(everything.variance)
        new = self._survival.from_step(0).mean if proposals.mean else 0.0
        longest = max([new, *(step.mean for step in opened)])
        # The last trials may run to their ends, while slots stand empty.
        last = max([total_steps - step for step in done.values()] + [total_steps * (fixed + new > 0)])
        alone = (1 - 1 / slots) / 2
        steps = Span(
            max(longest, (everything.mean - spread) / slots + alone * new),
            max(longest, everything.mean / slots + alone * (new + last) / 2),
            max(last, (everything.mean + spread) / slots + alone * last),
        )
        return Span(*(cost * each for each in steps))

    def _finishing(self, open_steps: Mapping[int, int]) -> Span:
        """Proposals that run to their ends, those that have included."""
        records, survival = self._agenda.records, self._survival
        searched = [record for record in records.values() if record.purpose is Purpose.SEARCH]
        chances = [
            1.0 if record.condemned_at is not None else survival.chance_from(open_steps.get(record.number, 0))
            for record in searched
            if record.state is State.RUNNING
        ]
        chances += [survival.chance_from(0)] * self._num_proposals()
        done = sum(record.state is State.COMPLETE for record in searched)
        if self._plan.max_trials is None and not self._agenda.is_closed:
            return Span(done, math.inf, math.inf)
        spread = _Z * math.sqrt(sum(chance * (1 - chance) for chance in chances))
        expected = done + sum(chances)
        return Span(math.floor(max(done, expected - spread)), round(expected), math.ceil(expected + spread))

    def _open(self, record: TrialRecord, step: int) -> Steps:
        if record.purpose is Purpose.SEARCH and record.condemned_at is None:
            return self._survival.from_step(step)
        return Steps(self._plan.total_steps - step)

    def _num_fixed(self) -> int:
        """Trials that are never stopped and not begun: baselines and the noise floor."""
        agenda, started = self._agenda, self._agenda.ledger.num_started
        if agenda.is_closed:
            return 0
        baselines = agenda.num_trials(Purpose.BASELINE) - started(Purpose.BASELINE)
        return baselines + agenda.num_trials(Purpose.NOISE) - started(Purpose.NOISE)

    def _num_proposals(self) -> int:
        """Proposals that are not begun, as far as their number is limited."""
        agenda = self._agenda
        return agenda.num_trials(Purpose.SEARCH) - agenda.ledger.num_started(
            Purpose.SEARCH, Purpose.REPLICATE
        )

    def _within_limits(self, search: Span, *later: Span) -> Span:
        """What comes one after the other, in all, cut to the budgets of time; without other limits these are the end.

        later: what the budgets keep something for.
        """
        if self._plan.max_trials is None and not self._agenda.is_closed:
            search = Span(math.inf, math.inf, math.inf)  # a limit there is
        limits = self._agenda.wall_left()
        for left, whole in limits:
            kept = sum(min(part.most, CONFIRM_SHARE * whole) for part in later)
            search = search.at_most(max(0.0, left - kept))
        error = max(_PACE_ERROR, self._pace.unsteadiness)
        everything = together([search, *later], error)
        return everything.at_most(min((left for left, _ in limits), default=math.inf))


def _measured(record: TrialRecord) -> int:
    """How far a trial is known to be that waits to be gone on with."""
    return record.reports[-1].step if record.reports else 0
