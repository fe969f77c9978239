"""Which trial comes next, when it ends, when the search is over.

The whole policy of a search, with no Ray, no sleep and no threads in it: observations go in, decisions come out, each
with its reason. Ray Tune (`search/engine`) and the simulator drive the same object. Everything it decides follows from
the trials that are kept and the seed, so a new driver continues where a killed one stopped.

`NextTrial` and `Judge` decide; the conductor has each decision written, then tells who must know.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from search.decision import Decision
from search.evidence.noise import SeedNoise
from search.evidence.race import Standing
from search.policy.agenda import Agenda
from search.policy.budget import Spending
from search.policy.next_trial import NextTrial, Refused
from search.policy.open_trials import OpenTrials
from search.policy.outlook import Forecast, Outlook
from search.policy.pace_elsewhere import Ratio
from search.policy.plan import Plan
from search.policy.proposals import Proposals
from search.policy.trials import CLOSED_BECAUSE, MEASURED, SEARCH_CLOSED, SPENT, Trials, measured_in
from search.policy.verdict import End, Judge, Retry, RunOn, Verdict, verdict_of
from search.record import Purpose, Report, State, TrialRecord

# A trial whose worker is lost goes on from its checkpoint this many times.
MAX_LOST_WORKERS = 3
_KEEP_SECONDS = 60.0  # how much of what was spent a driver that is killed may lose


class Conductor:
    """Drives one search. Not thread-safe: one driver thread owns it.

    trials: where the trials are kept. on_change: called with the new record after every change of a trial.
    on_refused: called with what waited in the study's queue and cannot be trained.
    clock: seconds since 1970.
    """

    def __init__(
        self,
        plan: Plan,
        trials: Trials,
        on_change: Callable[[TrialRecord], None] = lambda record: None,
        clock: Callable[[], float] = time.time,
    ):
        self.plan, self.trials, self.on_change, self._clock = plan, trials, on_change, clock
        self.on_refused: Callable[[Refused], None] = lambda refused: None
        kept = trials.read()
        self.agenda = Agenda.of(plan, kept, trials.header)
        self.proposals = Proposals(plan, kept)
        self._ledger = self.agenda.ledger
        self._next_trial = NextTrial(plan, self.agenda, self.proposals)
        self._judge = Judge(plan, self._ledger, self.agenda.budget)
        self._open = OpenTrials(plan, self._ledger.running)
        self._forecast = Forecast(self.agenda)
        self._kept_at = self.spending.wall

    @property
    def records(self) -> Mapping[int, TrialRecord]:
        """All trials by number."""
        return self._ledger.records

    @property
    def spending(self) -> Spending:
        """What the search has spent."""
        return self.agenda.spending

    @property
    def noise(self) -> Mapping[int, SeedNoise]:
        """Step -> the noise between seeds there, as far as it is measured."""
        return self._ledger.noise

    @property
    def standing(self) -> Standing:
        """How the confirmation stands."""
        return self._ledger.standing

    @property
    def finished(self) -> bool:
        """Whether every trial for every purpose has ended."""
        return self.agenda.finished

    def num_trials(self, purpose: Purpose) -> int:
        """How many trials there are for a purpose, those to come included."""
        return self.agenda.num_trials(purpose)

    def foreknow(self, ratios: Mapping[str, Ratio]) -> None:
        """What was timed in other settings, by their names. May be told from any thread."""
        self._forecast.ratios = ratios

    def outlook(self) -> Outlook:
        """How long it still takes."""
        return self._forecast.outlook(self._open.steps)

    # What comes next

    def next(self) -> TrialRecord | None:
        """The next trial to run; None if there is nothing to run now (see `finished`)."""
        if len(self._open) >= self.plan.max_concurrent:
            return None
        self._tick()
        waiting = self._open.next_waiting()
        record = self._new_trial() if waiting is None else self.records[waiting]
        if record is not None:
            self._open.begin(record, is_new=waiting is None)
            self._changed(record)
        return record

    def _new_trial(self) -> TrialRecord | None:
        was_closed = self.agenda.is_closed
        open_steps = self._open.steps_to_come()
        while isinstance(trial := self._next_trial.decide(open_steps, self.trials.enqueued), Refused):
            self.trials.refuse(trial.number, trial.reason)
            self.on_refused(trial)
        if self.agenda.is_closed and not was_closed:
            self._keep_closing()
        if trial is None:
            return None
        if trial.waited_as is None:
            number = self.trials.add(trial)
        else:
            number = trial.waited_as
            self.trials.begin(number, trial)
        self.proposals.started(number, trial)
        return trial.record(number, start_ms=self._now_ms())

    # What happened

    def observe(
        self,
        number: int,
        step: int,
        reports: Sequence[Report],
        outcome: str | None,
        reason: str | None = None,
        smaller_micro_batch: int | None = None,
    ) -> bool:
        """Take in what a trial did; True if it ends here.

        reports: all reports so far; those known already are passed over. outcome: "complete", "diverged" or
        "failed" if the trial says that it is over, "oom" if memory was not enough: the first time it is tried again
        with `smaller_micro_batch` images at once, when `next` is asked, then it has failed.
        """
        record = self.records[number]
        if record.state is not State.RUNNING:
            return True
        self._tick()
        self.spending.pay(self._open.advance(number, step), record.setting)
        self._forecast.heard()
        is_news = self._take_in(record, reports)
        record = self.records[number]
        was_undecided = self._open.take_undecided(number)
        is_at_rung = is_news or (was_undecided and bool(reports) and step == record.reports[-1].step)
        verdict: Verdict | None = None
        if outcome is not None:
            verdict = verdict_of(record, outcome, reason, smaller_micro_batch)
        elif is_at_rung:
            verdict = self._judge.at_rung(record, self._open.steps_to_come(but=number))
        self._carry_out(record, verdict, is_news)
        return isinstance(verdict, End | Retry)

    def measured(self, number: int, kept: Mapping[str, Any]) -> TrialRecord:
        """Keep what the samples of a finished trial are by other measures, and return its record.

        kept: see `Measured.of`. What other feature networks have measured before stays.
        """
        key = f"{MEASURED}{number}"
        before = self.trials.header.get(key, {}).get("judges", {})
        self.trials.set_header(key, {**kept, "judges": {**before, **kept["judges"]}})
        record = replace(self.records[number], measured=measured_in(self.trials.header, number))
        self._keep(record)
        return record

    def lost(self, number: int) -> None:
        """The trial's worker was lost: the trial goes on from its checkpoint, when `next` is asked.

        One that lost MAX_LOST_WORKERS before has failed: it is no observation.
        """
        record = self.records[number]
        if record.state is not State.RUNNING:
            return
        self._tick()
        losses = self._open.count_loss(number)
        if losses > MAX_LOST_WORKERS:
            self._end(record, End(State.FAILED, f"its worker was lost {losses} times"))
        else:
            self._open.wait(number)

    def returned(self, number: int) -> None:
        """Its worker had no room for the trial: it goes on from its checkpoint, when `next` is asked."""
        if self.records[number].state is State.RUNNING:
            self._tick()
            self._open.wait(number)

    def all_lost(self) -> None:
        """All workers were lost, by no fault of the trials: those that ran go on when `next` is asked."""
        self._tick()
        self._open.wait_all()

    def _take_in(self, record: TrialRecord, reports: Sequence[Report]) -> bool:
        """Keep what the trial reports; whether any of it is news."""
        fresh = list(_unknown(record, reports))
        for report in fresh:
            self.trials.report(record.number, report)
            self.proposals.report(record.number, report)
        known = _with_reports(record, reports)
        # A sign of life brings nothing, and whatever was computed from the trials still holds.
        if known != record:
            self._keep(known)
        return bool(fresh)

    # What is written

    def _carry_out(self, record: TrialRecord, verdict: Verdict | None, is_news: bool) -> None:
        if isinstance(verdict, End):
            self._end(record, verdict)
        elif isinstance(verdict, Retry):
            self._try_again(record, verdict)
        elif isinstance(verdict, RunOn):
            step = record.reports[-1].step
            self.trials.condemn(record.number, step, verdict.decision)
            self._changed(replace(_decided(record, verdict.decision), condemned_at=step))
        elif is_news:
            self._changed(record)

    def _end(self, record: TrialRecord, end: End) -> None:
        decided = _decided(record, end.decision)
        record = replace(decided, state=end.state, reason=end.reason, end_ms=self._now_ms())
        self.trials.finish(record, self.spending.to_dict())
        self._open.end(record.number)
        self.proposals.end(record)
        self._changed(record)

    def _try_again(self, record: TrialRecord, retry: Retry) -> None:
        """The trial is open, and the next to be run, as one that a former driver left."""
        self.trials.retry(record.number, retry.micro_batch, retry.reason, retry.decision)
        self._open.wait(record.number)
        self._changed(replace(_decided(record, retry.decision), micro_batch=retry.micro_batch))

    def _changed(self, record: TrialRecord) -> None:
        self._keep(record)
        self.on_change(record)

    def _keep(self, record: TrialRecord) -> None:
        self._ledger.keep(record)
        self.proposals.keep(record)

    def _keep_closing(self) -> None:
        """A later driver starts nothing more before the confirmation either."""
        assert self.agenda.closed_because is not None
        self.trials.set_header(CLOSED_BECAUSE, self.agenda.closed_because.to_dict())
        self.trials.set_header(SEARCH_CLOSED, True)

    def _tick(self) -> None:
        self.spending.tick(self._clock(), self._open.by_setting(), self.plan.limits.stack)
        if self.spending.wall - self._kept_at > _KEEP_SECONDS:
            self._kept_at = self.spending.wall
            self.trials.set_header(SPENT, self.spending.to_dict())

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def _unknown(record: TrialRecord, reports: Sequence[Report]) -> Iterator[Report]:
    known = {report.step for report in record.reports}
    return (report for report in reports if report.step not in known)


def _with_reports(record: TrialRecord, reports: Sequence[Report]) -> TrialRecord:
    """The record with these reports, those that it has already included."""
    known = {report.step: report for report in record.reports}
    for report in reports:
        # Of a trial that runs, the study has steps and objectives only: an adopted one's worker has the rest.
        if report.step not in known or report.objective == known[report.step].objective:
            known[report.step] = report
    return replace(record, reports=tuple(known[step] for step in sorted(known)))


def _decided(record: TrialRecord, decision: Decision | None) -> TrialRecord:
    return record if decision is None else replace(record, decisions=(*record.decisions, decision))
