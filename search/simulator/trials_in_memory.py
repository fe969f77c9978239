"""The trials of a search that is over before anything could be lost: in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from search.decision import Decision
from search.policy.trials import Enqueued, KeptTrial, NewTrial
from search.record import Report, TrialRecord


class TrialsInMemory:
    """As the policy needs them (`search.policy.trials.Trials`). Trials start at the time 0."""

    def __init__(self) -> None:
        self.header: dict[str, Any] = {}
        self._kept: list[KeptTrial] = []

    def set_header(self, key: str, value: Any) -> None:
        """Add or replace one fact of the search."""
        self.header[key] = value

    def read(self) -> Sequence[KeptTrial]:
        """All trials by number."""
        return tuple(self._kept)

    def add(self, trial: NewTrial) -> int:
        """Keep a trial as RUNNING; returns its number."""
        number = len(self._kept)
        self._kept.append(KeptTrial(trial.record(number, start_ms=0), trial.distributions))
        return number

    def enqueued(self) -> Sequence[Enqueued]:
        """Nothing: nobody else knows these trials."""
        return ()

    def begin(self, number: int, trial: NewTrial) -> None:
        """Nothing waits."""
        raise AssertionError(number)

    def refuse(self, number: int, reason: str) -> None:
        """Nothing waits."""
        raise AssertionError(number)

    def report(self, number: int, report: Report) -> None:
        """Keep the objective at a rung; the first value of a step wins."""
        reports = self._kept[number].record.reports
        if report.step not in {known.step for known in reports}:
            self._change(number, reports=(*reports, Report(report.step, report.objective, 0)))

    def condemn(self, number: int, step: int, decision: Decision) -> None:
        """Keep that the stopping rule would have ended the trial at `step`."""
        self._change(number, condemned_at=step, decisions=self._with(number, decision))

    def retry(self, number: int, micro_batch: int, reason: str | None, decision: Decision) -> None:
        """Keep that the trial is tried once more with so many images at once."""
        self._change(number, micro_batch=micro_batch, decisions=self._with(number, decision))

    def finish(self, record: TrialRecord, spent: Mapping[str, Any]) -> None:
        """Make the record's final state the trial's. spent: by the whole search so far."""
        self._kept[record.number] = KeptTrial(record, self._kept[record.number].distributions, dict(spent))

    def _with(self, number: int, decision: Decision) -> tuple[Decision, ...]:
        return (*self._kept[number].record.decisions, decision)

    def _change(self, number: int, **fields: Any) -> None:
        kept = self._kept[number]
        self._kept[number] = replace(kept, record=replace(kept.record, **fields))
