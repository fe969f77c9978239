"""What is left to do of a search, from its trials and its budget: baselines, noise floor, proposals, confirmation."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from search.decision import Decision
from search.evidence.holding import Wanted
from search.evidence.race import Standing
from search.evidence.shortlist import Entry, most_entries
from search.policy.budget import Budget, Spending
from search.policy.ledger import Ledger
from search.policy.plan import Plan
from search.policy.trials import CLOSED_BECAUSE, CONFIRM_ANYWAY, SEARCH_CLOSED, SPENT, KeptTrial
from search.record import SEARCHED, Purpose, TrialRecord


class Agenda:
    """Answers what comes next, and whether anything does; decides nothing and writes nothing.

    header: the facts of the search that its policy has kept (`search.policy.trials`).
    """

    def __init__(self, plan: Plan, header: Mapping[str, Any]):
        self.plan = plan
        self.ledger = Ledger(plan)
        self.budget = Budget(plan)
        self.is_closed = bool(header.get(SEARCH_CLOSED))  # nothing is started before the confirmation
        self.closed_because = _decision(header.get(CLOSED_BECAUSE)) if self.is_closed else None
        self._confirm_anyway = bool(header.get(CONFIRM_ANYWAY))

    @classmethod
    def of(cls, plan: Plan, kept: Iterable[KeptTrial], header: Mapping[str, Any]) -> "Agenda":
        """That of a search whose trials are kept somewhere."""
        agenda = cls(plan, header)
        for trial in kept:
            agenda.ledger.keep(trial.record)
            agenda.budget.spending.restore(trial.spent or {})
        agenda.budget.spending.restore(header.get(SPENT, {}))
        return agenda

    @property
    def records(self) -> Mapping[int, TrialRecord]:
        """All trials by number."""
        return self.ledger.records

    @property
    def spending(self) -> Spending:
        """What the search has spent."""
        return self.budget.spending

    @property
    def standing(self) -> Standing:
        """How the confirmation stands."""
        return self.ledger.standing

    def close(self, because: Decision) -> None:
        """Nothing is started any more before the confirmation."""
        self.is_closed, self.closed_because = True, because

    @property
    def is_exhausted(self) -> bool:
        """Whether the search was closed since its space holds no schedule that was not trained."""
        return self.closed_because is not None and self.closed_because.cause == "exhausted"

    @property
    def finished(self) -> bool:
        """Whether every trial for every purpose has ended."""
        return (
            not self.ledger.running
            and self.next_baseline() is None
            and self.next_floor() is None
            and not self.may_propose()
            and self.next_on_shortlist() is None
            and self.next_confirmation() is None
            and self.next_in_another_setting() is None
        )

    def next_baseline(self) -> str | None:
        """The next literature preset to train."""
        missing = (name for name in self.plan.baselines if self.ledger.baseline(name) is None)
        return None if self.is_closed else next(missing, None)

    def next_floor(self) -> tuple[TrialRecord, int] | None:
        """The next (first baseline, seed) that the noise between seeds is measured on."""
        name = next(iter(self.plan.baselines), None)
        first = self.ledger.baseline(name) if name is not None else None
        done = self.ledger.num_started(Purpose.NOISE)
        if first is None or done >= self.plan.noise_seeds or self.is_closed:
            return None
        return first, self.plan.fresh_seeds[done]

    def may_propose(self) -> bool:
        """Whether the algorithm is asked for another schedule."""
        if self.is_closed:
            return False
        started = self.ledger.num_started(*SEARCHED)
        return self.plan.max_trials is None or started < self.plan.max_trials

    def next_on_shortlist(self) -> Entry | None:
        """The next trial that shows which of the best to confirm: once the search is over."""
        if self._is_searching():
            return None
        missing = self.ledger.wanted_on_shortlist
        affordable = (entry for entry in missing if self._affords(entry.setting, reserve=(Purpose.CONFIRM,)))
        return next(affordable, None)

    def next_confirmation(self) -> tuple[TrialRecord, int] | None:
        """The next (finalist, index of its fresh seed) to train.

        While the last trials of the search or of the shortlist run, free slots go to the baselines, which are finalists
        whatever comes.
        """
        if self.plan.race is None or self.ledger.is_running(Purpose.BASELINE):
            return None
        if not self.knows_finalists:
            missing = tuple(found for found in self.standing.missing if found[0].purpose is Purpose.BASELINE)
        else:
            missing = self.standing.missing or self.standing.ahead
        if not missing or not (self._confirm_anyway or self.budget.affords(self.plan.total_steps)):
            return None
        return missing[0]

    def next_in_another_setting(self) -> Wanted | None:
        """The next trial that shows where the finding holds: once the confirmation is over."""
        if self.plan.holds is None or not self.knows_finalists or not self._is_confirmed():
            return None
        missing = self.ledger.wanted_in_settings
        return next((found for found in missing if self._affords(found.setting)), None)

    def _is_confirmed(self) -> bool:
        """Whether nothing of the confirmation runs or will."""
        return not self.ledger.is_running(Purpose.CONFIRM) and self.next_confirmation() is None

    def _affords(self, setting: str, reserve: Collection[Purpose] = ()) -> bool:
        steps = self.plan.total_steps_in(setting)
        return self._confirm_anyway or self.budget.affords(steps, setting=setting, reserve=reserve)

    def wall_left(self) -> list[tuple[float, float]]:
        """See `Budget.wall_left`; no limits for a confirmation that was asked for by itself."""
        return [] if self._confirm_anyway else self.budget.wall_left()

    def _is_searching(self) -> bool:
        """Whether there may still be better proposals."""
        return self.may_propose() or self.ledger.is_running(Purpose.SEARCH, Purpose.BASELINE)

    @property
    def knows_finalists(self) -> bool:
        """Whether nothing can change any more which proposals are confirmed."""
        is_chosen = not self.ledger.is_running(Purpose.SHORTLIST) and self.next_on_shortlist() is None
        return is_chosen and not self._is_searching()

    def num_trials(self, purpose: Purpose) -> int:
        """How many trials there are for a purpose; of the confirmation the most there can be, until it is over."""
        if purpose is Purpose.BASELINE:
            return len(self.plan.baselines)
        if purpose is Purpose.NOISE:
            return self.plan.noise_seeds if self.plan.baselines else 0
        if purpose in (Purpose.SEARCH, Purpose.REPLICATE):  # a replicate takes the place of a proposal
            left = self.plan.max_trials - len(self.plan.baselines) if self.plan.max_trials is not None else 0
            started = self.ledger.num_started(Purpose.SEARCH, Purpose.REPLICATE)
            return max(started, 0 if self.is_closed else left)
        if purpose is Purpose.HOLD:
            return self._num_in_settings()
        if self.plan.race is None:
            return 0
        if purpose is Purpose.SHORTLIST:
            return self._num_on_shortlist(self.plan.race.top)
        if not self.knows_finalists:
            return self.plan.race.most_trials
        return self.ledger.num_started(Purpose.CONFIRM) + len(self.standing.missing)

    def _num_in_settings(self) -> int:
        holds = self.plan.holds
        if holds is None:
            return 0
        if not self.knows_finalists or not self._is_confirmed():
            return holds.most_trials * len(holds.settings)
        return self.ledger.num_started(Purpose.HOLD) + len(self.ledger.wanted_in_settings)

    def _num_on_shortlist(self, top: int) -> int:
        if self.plan.holds is None:
            return 0
        started = self.ledger.num_started(Purpose.SHORTLIST)
        if self.knows_finalists:
            return started
        return max(started, sum(most_entries(self.plan.holds, top).values()))


def _decision(plain: Mapping[str, Any] | None) -> Decision | None:
    return Decision(**plain) if plain else None
