"""What becomes of a trial that has reported: it goes on, ends, runs on as an audit, or is tried again."""

from dataclasses import dataclass

from search.decision import Decision
from search.evidence import audit
from search.policy.budget import LATER, Budget
from search.policy.ledger import Ledger
from search.policy.plan import Plan
from search.record import Purpose, State, TrialRecord
from trainable.task import OUT_OF_MEMORY


@dataclass(frozen=True)
class End:
    """The trial ends here. decision: None where the trial itself says why."""

    state: State
    reason: str | None = None
    decision: Decision | None = None


@dataclass(frozen=True)
class RunOn:
    """The stopping rule condemns the trial, and it runs on as an audit."""

    decision: Decision


@dataclass(frozen=True)
class Retry:
    """The trial is tried once more, with fewer images at once."""

    micro_batch: int
    reason: str | None
    decision: Decision


Verdict = End | RunOn | Retry


def verdict_of(
    record: TrialRecord, outcome: str, reason: str | None, smaller_micro_batch: int | None
) -> End | Retry:
    """What becomes of a trial that says it is over."""
    if outcome != OUT_OF_MEMORY:
        return End(State(outcome), reason)
    if smaller_micro_batch is None or record.micro_batch is not None:
        return End(State.FAILED, reason)
    decision = Decision("tried again", "memory", {"micro_batch": smaller_micro_batch})
    return Retry(smaller_micro_batch, reason, decision)


class Judge:
    """Decides what becomes of a trial that was measured at a rung."""

    def __init__(self, plan: Plan, ledger: Ledger, budget: Budget):
        self._plan, self._ledger, self._budget = plan, ledger, budget

    def at_rung(self, record: TrialRecord, open_steps: int) -> End | RunOn | None:
        """The verdict, None: the trial goes on. open_steps: steps that the other open trials may still use."""
        step = record.reports[-1].step
        if record.purpose is not Purpose.SEARCH or step >= self._plan.total_steps:
            return None
        if record.condemned_at is None and self._is_condemned(record, step):
            runs_on = self._runs_on(record) and self._affords_next_rung(step, open_steps)
            decision = self._rank_at(record, step, runs_on)
            return RunOn(decision) if runs_on else End(State.STOPPED, None, decision)
        if not self._affords_next_rung(step, open_steps):
            decision = Decision("stopped", "budget")
            return End(State.STOPPED, decision.why, decision)
        return None

    def _is_condemned(self, record: TrialRecord, step: int) -> bool:
        return self._plan.stopping.stops(record.number, self._ledger.rung(step))

    def _runs_on(self, record: TrialRecord) -> bool:
        """Whether a condemned trial runs on, as an audit of the stopping rule."""
        return audit.runs_on(
            share=self._plan.audit_share,
            seed=self._plan.seed,
            number=record.number,
            num_condemned=self._ledger.num_condemned,
            num_audited=self._ledger.num_audited,
            num_trials=self._plan.max_trials or len(self._ledger.records),
        )

    def _rank_at(self, record: TrialRecord, step: int, runs_on: bool) -> Decision:
        values = self._ledger.rung(step).values
        rank = 1 + sum(value < values[record.number] for value in values.values())
        facts = {"rank": rank, "of": len(values), "step": step}
        return Decision("condemned", "audit", facts) if runs_on else Decision("stopped", "rung", facts)

    def _affords_next_rung(self, step: int, open_steps: int) -> bool:
        following = self._plan.next_rung(step)
        if following is None:
            return True
        return self._budget.affords(following - step, open_steps=open_steps, reserve=LATER)
