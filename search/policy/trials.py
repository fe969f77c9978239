"""What the policy needs of the trials of a search, wherever they are kept: in a database, or in memory to simulate.

They are read once, when a driver begins. Then each decision is written by one call, which returns when it is kept for
good; it may wait for a database that is away, so nothing is decided inside one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from optuna.distributions import BaseDistribution

from search.decision import Decision
from search.record import Measured, Purpose, Report, State, TrialRecord
from spaces import NoiseSchedule
from trainable.task import OWN

# Keys in the header: facts of a search that its policy keeps there.
SEARCH_CLOSED = "budget_spent"  # nothing is started any more before the confirmation
CLOSED_BECAUSE = "closed"  # the decision that closed it
CONFIRM_ANYWAY = "confirm_anyway"  # the confirmation was asked for by itself: budgets of time do not end it
SPENT = "spent"  # what the search has spent, as last kept
# Samples by other measures: name of a feature network -> its `extractor_sha256`, and the `problem` where it cannot be
# had; with a trial's number at the end, what was measured on its model.
JUDGES, MEASURED = "judges", "measured "


def measured_in(header: Mapping[str, Any], number: int) -> Measured | None:
    """What the header keeps of the samples of trial `number`, None: nothing. LookupError, ValueError, ... where cut."""
    kept = header.get(f"{MEASURED}{number}")
    sha256s = {name: judge["extractor_sha256"] for name, judge in header.get(JUDGES, {}).items()}
    return None if kept is None else Measured.of(kept, sha256s)


@dataclass(frozen=True, kw_only=True)
class NewTrial:
    """A trial that is decided on and has no number yet, unless it waited in the queue under one (`waited_as`).

    distributions: of its params, where the space has them.
    """

    purpose: Purpose
    schedule: NoiseSchedule
    seed: int
    decision: Decision
    params: Mapping[str, Any] = field(default_factory=dict)
    distributions: Mapping[str, BaseDistribution] = field(default_factory=dict)
    preset: str | None = None
    replicate_of: int | None = None
    setting: str = OWN
    waited_as: int | None = None

    def record(self, number: int, start_ms: int) -> TrialRecord:
        """As it is known once it has its number."""
        return TrialRecord(
            number=number,
            purpose=self.purpose,
            state=State.RUNNING,
            schedule=self.schedule,
            seed=self.seed,
            params=dict(self.params),
            preset=self.preset,
            replicate_of=self.replicate_of,
            setting=self.setting,
            decisions=(self.decision,),
            start_ms=start_ms,
        )


@dataclass(frozen=True)
class KeptTrial:
    """A trial as it is read back. spent: by the whole search when it ended, None before."""

    record: TrialRecord
    distributions: Mapping[str, BaseDistribution]
    spent: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Enqueued:
    """What another program has put into the queue, as trial `number`. params: some of the space's, to be kept to."""

    number: int
    params: Mapping[str, Any]


class Trials(Protocol):
    """The trials of one search, addressed by number, and the facts of the search (header)."""

    @property
    def header(self) -> Mapping[str, Any]:
        """The facts of the search by their keys."""

    def set_header(self, key: str, value: Any) -> None:
        """Add or replace one fact."""

    def read(self) -> Sequence[KeptTrial]:
        """All trials by number."""

    def add(self, trial: NewTrial) -> int:
        """Keep a trial as RUNNING; returns its number."""

    def enqueued(self) -> Sequence[Enqueued]:
        """What waits in the queue now, in its order."""

    def begin(self, number: int, trial: NewTrial) -> None:
        """Keep `trial` as RUNNING in the place of what waits as `number`."""

    def refuse(self, number: int, reason: str) -> None:
        """End what waits as `number`, which can never be trained."""

    def report(self, number: int, report: Report) -> None:
        """Keep the objective at a rung; the first value of a step wins."""

    def condemn(self, number: int, step: int, decision: Decision) -> None:
        """Keep that the stopping rule would have ended the trial at `step`."""

    def retry(self, number: int, micro_batch: int, reason: str | None, decision: Decision) -> None:
        """Keep that the trial is tried once more with so many images at once."""

    def finish(self, record: TrialRecord, spent: Mapping[str, Any]) -> None:
        """Make the record's final state the trial's. spent: by the whole search so far."""
