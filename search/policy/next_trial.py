"""Which trial is started next: a baseline, the noise floor, what waits, a proposal or a finalist's next seed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FixedTrial

from search.decision import Decision
from search.policy.agenda import Agenda
from search.policy.budget import LATER
from search.policy.plan import Plan
from search.policy.proposals import Proposal, Proposals
from search.policy.trials import Enqueued, NewTrial
from search.record import Purpose, State, TrialRecord
from spaces import NoiseSchedule
from spaces.registry import name_of
from trainable.task import OWN


@dataclass(frozen=True)
class Refused:
    """What waited in the study's queue as `number` cannot be trained. reason: why, in one line."""

    number: int
    reason: str


class NextTrial:
    """Decides what is started. Where nothing more fits or is new, it closes the search: only confirmation is left."""

    def __init__(self, plan: Plan, agenda: Agenda, proposals: Proposals):
        self._plan, self._agenda, self._proposals = plan, agenda, proposals

    def decide(
        self, open_steps: int, enqueued: Callable[[], Sequence[Enqueued]] = tuple
    ) -> NewTrial | Refused | None:
        """The next trial, None if there is none now.

        open_steps: steps that open trials may still use. enqueued: what waits in the study's queue, which takes the
        place of proposals; asked where one would be next.
        """
        return (
            self._baseline(open_steps)
            or self._floor(open_steps)
            or self._proposal(open_steps, enqueued)
            or self._on_shortlist()
            or self._confirmation()
            or self._in_another_setting()
        )

    def _baseline(self, open_steps: int) -> NewTrial | None:
        name = self._agenda.next_baseline()
        if name is None or not self._is_within_budget(self._plan.total_steps, open_steps):
            return None
        schedule = self._plan.baselines[name]
        params, distributions = self._params_of(schedule)
        return NewTrial(
            purpose=Purpose.BASELINE,
            schedule=schedule,
            seed=self._plan.seed,
            params=params,
            distributions=distributions,
            preset=name,
            decision=Decision("started", "preset", {"preset": name}),
        )

    def _params_of(self, schedule: NoiseSchedule) -> tuple[Mapping[str, Any], Mapping[str, BaseDistribution]]:
        """The parameters that give this schedule, and their distributions; none where it lies outside."""
        params = self._plan.space.params_of(schedule)
        if not params:
            return {}, {}
        fixed = FixedTrial(dict(params))
        self._plan.space.suggest(fixed)
        return params, fixed.distributions

    def _floor(self, open_steps: int) -> NewTrial | None:
        found = self._agenda.next_floor()
        if found is None or not self._is_within_budget(self._plan.total_steps, open_steps):
            return None
        first, seed = found
        decision = Decision("started", "seed_noise", {"trial": first.number})
        return _replicate(Purpose.NOISE, first, seed, decision)

    def _proposal(
        self, open_steps: int, enqueued: Callable[[], Sequence[Enqueued]]
    ) -> NewTrial | Refused | None:
        if not self._agenda.may_propose() or not self._is_within_budget(self._plan.rungs[0], open_steps):
            return None
        if waiting := enqueued():
            return self._enqueued(waiting[0])
        for proposal in self._proposals.draws(len(self._agenda.records)):
            if proposal.equal_to is None:
                algorithm = {"algorithm": name_of(self._plan.algorithm)}
                return self._of_search(proposal, Decision("started", "proposed", algorithm))
            replicate = self._replicate_instead(proposal.equal_to)
            if replicate is not None:
                return replicate
        self._agenda.close(Decision("closed", "exhausted"))
        return None

    def _enqueued(self, waiting: Enqueued) -> NewTrial | Refused:
        """What waits, with the algorithm's values where it leaves some open; equal to another trial or not."""
        try:
            params = self._plan.space.completed(waiting.params)
            proposal = self._proposals.around(params, len(self._agenda.records))
        except ValueError as error:
            return Refused(waiting.number, str(error))
        return self._of_search(proposal, Decision("started", "enqueued"), waited_as=waiting.number)

    def _of_search(self, proposal: Proposal, decision: Decision, waited_as: int | None = None) -> NewTrial:
        return NewTrial(
            purpose=Purpose.SEARCH,
            schedule=proposal.schedule,
            seed=self._plan.seed,
            params=proposal.params,
            distributions=proposal.distributions,
            decision=decision,
            waited_as=waited_as,
        )

    def _replicate_instead(self, number: int) -> NewTrial | None:
        """A trial of the equal schedule on the next fresh seed, if the search file asks for it and there is one."""
        original = self._agenda.records[number]
        if self._plan.equal_schedules != "replicate" or original.state is not State.COMPLETE:
            return None
        used = self._agenda.ledger.replicate_seeds(number)
        seed = next((seed for seed in self._plan.fresh_seeds if seed not in used), None)
        if seed is None:
            return None
        decision = Decision("started", "equal", {"trial": number})
        return _replicate(Purpose.REPLICATE, original, seed, decision)

    def _on_shortlist(self) -> NewTrial | None:
        found = self._agenda.next_on_shortlist()
        if found is None:
            return None
        decision = Decision(
            "started", "shortlisted", {"trial": found.record.number, "setting": found.setting}
        )
        return _replicate(Purpose.SHORTLIST, found.record, self._plan.seed, decision, found.setting)

    def _confirmation(self) -> NewTrial | None:
        found = self._agenda.next_confirmation()
        if found is None:
            return None
        finalist, index = found
        seeds = self._plan.fresh_seeds
        facts = {"trial": finalist.number, "nth": index + 1, "of": len(seeds)}
        return _replicate(Purpose.CONFIRM, finalist, seeds[index], Decision("started", "finalist", facts))

    def _in_another_setting(self) -> NewTrial | None:
        found = self._agenda.next_in_another_setting()
        if found is None:
            return None
        decision = Decision("started", "holds", {"trial": found.record.number, "setting": found.setting})
        seed = self._plan.fresh_seeds[found.nth]
        return _replicate(Purpose.HOLD, found.record, seed, decision, found.setting)

    def _is_within_budget(self, steps: int, open_steps: int) -> bool:
        """Whether another trial of so many steps may start before the confirmation.

        If not even without what open trials may use, then none does any more.
        """
        if self._agenda.budget.affords(steps, open_steps=open_steps, reserve=LATER):
            return True
        if not self._agenda.budget.affords(steps, reserve=LATER):
            self._agenda.close(Decision("closed", "spent"))
        return False


def _replicate(
    purpose: Purpose, original: TrialRecord, seed: int, decision: Decision, setting: str = OWN
) -> NewTrial:
    """The schedule of a trial once more, on another seed."""
    return NewTrial(
        purpose=purpose,
        schedule=original.schedule,
        seed=seed,
        preset=original.preset,
        replicate_of=original.number,
        setting=setting,
        decision=decision,
    )
