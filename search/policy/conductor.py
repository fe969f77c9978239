"""Which trial comes next, when it ends, when the search is over.

The whole policy of a search, with no Ray, no sleep and no threads in it: observations go in, decisions come out.
Ray Tune (`engine.py`) and the tests drive the same object. Everything it decides follows from the trials in
the study and the seed, so a new driver continues where a killed one stopped.
"""

import logging
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FixedTrial, Trial

from search.evidence import audit, race
from search.evidence.noise import SeedNoise, noise_at_rungs
from search.policy.budget import Spending, TimeNeed
from search.policy.equal_schedules import KnownSchedules
from search.policy.plan import Plan
from search.policy.proposals import SamplerStudy
from search.record import Purpose, Report, State, TrialRecord
from search.stopping_rule import Rung
from search.study.store import StudyStore, record_of, spent_by
from spaces import NoiseSchedule
from trainable.task import OUT_OF_MEMORY

_log = logging.getLogger(__name__)

_MOST_ASKS = 8  # of the algorithm, which may have converged
_MOST_DRAWS = 64  # then at random; where these are known as well, the space is taken for exhausted

# Keys in the study's header.
BUDGET_SPENT = "budget_spent"  # nothing is started any more before the confirmation
CONFIRM_ANYWAY = "confirm_anyway"  # the confirmation was asked for by itself: budgets of time do not end it
SPENT = "spent"  # what the search has spent, as last kept
_KEEP_SECONDS = 60.0  # how much of that a driver that is killed may lose


@dataclass
class Conductor:
    """Drives one search. Not thread-safe: one driver thread owns it.

    store: the study. on_change: called with the new record after every change of a trial.
    clock: seconds since 1970.
    """

    plan: Plan
    store: StudyStore
    on_change: Callable[[TrialRecord], None] = lambda record: None
    clock: Callable[[], float] = time.time
    records: dict[int, TrialRecord] = field(default_factory=dict, init=False)
    spending: Spending = field(default_factory=Spending, init=False)

    def __post_init__(self) -> None:
        self._told = SamplerStudy(self.plan.rungs, self.plan.seed)
        self._known = KnownSchedules(self.plan.total_steps)
        # Kept with every record, because looking through all of them at each result is quadratic in a search.
        self._running: set[int] = set()
        self._started: Counter[Purpose] = Counter()
        self._presets: dict[str, int] = {}
        self._at_rung: defaultdict[int, dict[int, float]] = defaultdict(dict)  # step -> number -> objective
        self._steps: dict[int, int] = {}  # of open trials, as last heard
        self._noise: Mapping[int, SeedNoise] | None = None  # None: to be computed again
        self._standing: race.Standing | None = None  # likewise
        trials = self.store.load()
        again: defaultdict[int | None, list[TrialRecord]] = defaultdict(list)
        for record in map(record_of, trials):
            self._keep(record)
            if record.purpose is Purpose.CONFIRM and record.state in (State.COMPLETE, State.DIVERGED):
                again[record.replicate_of].append(record)
        for trial in trials:
            self._told.load(trial, self.records[trial.number], again[trial.number])
            spent = spent_by(trial)
            if spent is not None:
                self.spending.restore(spent)
        self.spending.restore(self.store.header.get(SPENT, {}))
        self._kept_at = self.spending.wall
        searched = [record for record in self.records.values() if record.purpose is Purpose.SEARCH]
        self._audited = sum(record.condemned_at is not None for record in searched)
        self._condemned = self._audited + sum(audit.was_condemned(record) for record in searched)
        self._to_adopt = sorted(self._running)
        self._undecided = set(self._to_adopt)
        self._issued: set[int] = set()
        self._budget_spent = bool(self.store.header.get(BUDGET_SPENT))

    # What comes next

    def next(self) -> TrialRecord | None:
        """The next trial to run; None if there is nothing to run now (see `finished`)."""
        if len(self._issued) >= self.plan.max_concurrent:
            return None
        self._tick()
        record = (
            self._adopted() or self._baseline() or self._floor() or self._proposal() or self._confirmation()
        )
        if record is not None:
            self._issued.add(record.number)
            self._changed(record)
        return record

    @property
    def finished(self) -> bool:
        """Whether every trial of every stage has ended."""
        return (
            not self._running
            and self._next_baseline() is None
            and self._next_floor() is None
            and not self._may_propose()
            and self._next_confirmation() is None
        )

    def num_trials(self, purpose: Purpose) -> int:
        """How many trials a stage has; for the confirmation the most there can be, until it is over."""
        if purpose is Purpose.BASELINE:
            return len(self.plan.baselines)
        if purpose is Purpose.NOISE:
            return self.plan.noise_seeds if self.plan.baselines else 0
        if purpose in (Purpose.SEARCH, Purpose.REPLICATE):  # a replicate takes the place of a proposal
            left = self.plan.max_trials - len(self.plan.baselines) if self.plan.max_trials is not None else 0
            started = self._started[Purpose.SEARCH] + self._started[Purpose.REPLICATE]
            return max(started, 0 if self._budget_spent else left)
        if self.plan.race is None:
            return 0
        if self._searching():
            return self.plan.race.most_trials
        return self._started[Purpose.CONFIRM] + len(self.standing.missing)

    def _adopted(self) -> TrialRecord | None:
        return self.records[self._to_adopt.pop(0)] if self._to_adopt else None

    def _baseline(self) -> TrialRecord | None:
        name = self._next_baseline()
        if name is None or not self._within_budget(self.plan.total_steps):
            return None
        schedule = self.plan.baselines[name]
        params = self.plan.space.params_of(schedule) or {}
        return self._add(Purpose.BASELINE, schedule, self.plan.seed, params=params, preset=name)

    def _next_baseline(self) -> str | None:
        missing = (name for name in self.plan.baselines if name not in self._presets)
        return None if self._budget_spent else next(missing, None)

    def _floor(self) -> TrialRecord | None:
        found = self._next_floor()
        if found is None or not self._within_budget(self.plan.total_steps):
            return None
        return self._replicate(Purpose.NOISE, *found)

    def _next_floor(self) -> tuple[TrialRecord, int] | None:
        """The next (first baseline, seed) that the noise between seeds is measured on."""
        name = next(iter(self.plan.baselines), None)
        number = self._presets.get(name) if name is not None else None
        done = self._started[Purpose.NOISE]
        if number is None or done >= self.plan.noise_seeds or self._budget_spent:
            return None
        return self.records[number], self.plan.fresh_seeds[done]

    def _may_propose(self) -> bool:
        if self._budget_spent:
            return False
        started = sum(
            self._started[purpose] for purpose in (Purpose.BASELINE, Purpose.SEARCH, Purpose.REPLICATE)
        )
        return self.plan.max_trials is None or started < self.plan.max_trials

    def _proposal(self) -> TrialRecord | None:
        if not self._may_propose():
            return None
        if not self._within_budget(self.plan.rungs[0]):
            return None
        for attempt in range(_MOST_ASKS + _MOST_DRAWS):
            # The trial's number goes into the seed: a fresh sampler draws anew, a repeated one draws the same.
            key = f"{self.plan.seed}/{len(self.records)}" + (f"/{attempt}" if attempt else "")
            trial = self._told.ask(self._sampler(random.Random(key).getrandbits(32), attempt))
            schedule = self.plan.space.suggest(trial)
            equal = None if self.plan.equal_schedules == "train" else self._known.find(schedule)
            if equal is None:
                return self._add(Purpose.SEARCH, schedule, self.plan.seed, asked=trial)
            self._told.drop(trial)
            replicate = self._replicate_instead(equal)
            if replicate is not None:
                return replicate
        _log.warning(
            "the search space seems to hold no schedule that was not trained: nothing more is proposed"
        )
        self._close_search()
        return None

    def _sampler(self, seed: int, attempt: int) -> BaseSampler:
        if attempt >= _MOST_ASKS:
            return RandomSampler(seed=seed)
        return self.plan.algorithm.sampler_in(self.plan.space, self.plan.total_steps, seed)

    def _replicate_instead(self, number: int) -> TrialRecord | None:
        """A trial of the equal schedule on the next fresh seed, if the search file asks for it and there is one."""
        original = self.records[number]
        if self.plan.equal_schedules != "replicate" or original.state is not State.COMPLETE:
            return None
        used = {record.seed for record in self.records.values() if record.replicate_of == number}
        seed = next((seed for seed in self.plan.fresh_seeds if seed not in used), None)
        return None if seed is None else self._replicate(Purpose.REPLICATE, original, seed)

    def _confirmation(self) -> TrialRecord | None:
        found = self._next_confirmation()
        return self._replicate(Purpose.CONFIRM, *found) if found is not None else None

    def _next_confirmation(self) -> tuple[TrialRecord, int] | None:
        """The next (finalist, seed) to train. While the last trials of the search run, free slots go to
        the baselines, which are finalists whatever comes."""
        if self.plan.race is None or Purpose.BASELINE in self._running_purposes():
            return None
        if self._searching():
            missing = tuple(found for found in self.standing.missing if found[0].purpose is Purpose.BASELINE)
        else:
            missing = self.standing.missing or self.standing.ahead
        anyway = self.store.header.get(CONFIRM_ANYWAY, False)
        if not missing or not (anyway or self._affordable(self.plan.total_steps)):
            return None
        finalist, index = missing[0]
        return finalist, self.plan.fresh_seeds[index]

    @property
    def standing(self) -> race.Standing:
        """How the confirmation stands."""
        assert self.plan.race is not None
        if self._standing is None:
            self._standing = race.standing(self.records.values(), self.plan.race, self.plan.fresh_seeds)
        return self._standing

    def _replicate(self, purpose: Purpose, original: TrialRecord, seed: int) -> TrialRecord:
        return self._add(
            purpose, original.schedule, seed, preset=original.preset, replicate_of=original.number
        )

    def _searching(self) -> bool:
        """Whether the finalists may still change."""
        open_purposes = self._running_purposes()
        return self._may_propose() or Purpose.SEARCH in open_purposes or Purpose.BASELINE in open_purposes

    def _running_purposes(self) -> set[Purpose]:
        return {self.records[number].purpose for number in self._running}

    # Budgets of time

    def _tick(self) -> None:
        self.spending.tick(self.clock(), len(self._issued))
        if self.spending.wall - self._kept_at > _KEEP_SECONDS:
            self._kept_at = self.spending.wall
            self.store.set_header(SPENT, self.spending.to_dict())

    def _within_budget(self, steps: int) -> bool:
        """Whether another trial of so many steps may start before the confirmation.

        If not even without what open trials may use, then none does any more.
        """
        if self._affordable(steps, reserve=True):
            return True
        if not self._affordable(steps, reserve=True, after_open=False):
            self._close_search()
        return False

    def _close_search(self) -> None:
        """Nothing is started any more before the confirmation, by a later driver neither."""
        self._budget_spent = True
        self.store.set_header(BUDGET_SPENT, True)

    def _affordable(self, steps: int, *, reserve: bool = False, after_open: bool = True) -> bool:
        """Whether `steps` more steps of a trial can end within the budget.

        reserve: what the confirmation needs is kept back. after_open: so is what open trials may still use.
        """
        seconds_for, slots, race = self.spending.seconds_for, self.plan.max_concurrent, self.plan.race
        to_come = sum(self._steps_to_rung(number) for number in self._issued) if after_open else 0
        trials = seconds_for(steps + to_come)
        kept = TimeNeed()
        if reserve and race is not None:
            whole = seconds_for(self.plan.total_steps)
            kept = TimeNeed(wall=race.most_turns(slots) * whole, trials=race.most_trials * whole)
        # A trial runs from its start to its end in one slot, the steps of all are spread over all slots.
        need = TimeNeed(wall=max(seconds_for(steps), trials / slots), trials=trials)
        return self.spending.fits(self.plan.limits, need, kept)

    def _steps_to_rung(self, number: int) -> int:
        """Steps that an open trial is still allowed: up to its next rung; replicates and baselines to the end."""
        done = self._steps.get(number, 0)
        if self.records[number].purpose is not Purpose.SEARCH:
            return self.plan.total_steps - done
        return next((rung for rung in self.plan.rungs if rung > done), done) - done

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
        before = self._steps.get(number)
        if before is not None:  # what an adopted trial had done before was paid for by the former driver
            self.spending.steps += max(0, step - before)
        self._steps[number] = max(step, before or 0)
        undecided = number in self._undecided
        self._undecided.discard(number)
        known = {report.step: report for report in record.reports}
        fresh = [report for report in reports if report.step not in known]
        for report in fresh:
            self.store.report(number, report.step, report.objective)
            self._told.report(number, report)
        for report in reports:
            # Of a trial that runs, the study has steps and objectives only: an adopted one's worker has the rest.
            if report.step not in known or report.objective == known[report.step].objective:
                known[report.step] = report
        record = replace(record, reports=tuple(known[step] for step in sorted(known)))
        self._keep(record)
        # Undecided: the former driver may have died between this report and its decision.
        at_rung = bool(fresh) or (undecided and bool(reports) and step == record.reports[-1].step)
        if outcome == OUT_OF_MEMORY and smaller_micro_batch is not None and record.micro_batch is None:
            self._try_again(record, smaller_micro_batch, reason)
            return True
        if outcome == OUT_OF_MEMORY:
            self._end(record, State.FAILED, reason)
        elif outcome is not None:
            self._end(record, State(outcome), reason)
        elif at_rung and self._stops(record):
            self._end(self.records[number], State.STOPPED)
        elif at_rung and self._unaffordable(record):
            self._end(self.records[number], State.STOPPED, "the rest does not fit into the budget")
        elif fresh:
            self._changed(self.records[number])
        return self.records[number].state is not State.RUNNING

    def _try_again(self, record: TrialRecord, micro_batch: int, reason: str | None) -> None:
        """The trial is open, and the next to be run, as one that a former driver left."""
        self.store.retry(record.number, micro_batch, reason)
        self._issued.discard(record.number)
        self._steps.pop(record.number, None)
        self._to_adopt.append(record.number)
        self._changed(replace(record, micro_batch=micro_batch))

    def lost(self, number: int, reason: str) -> None:
        """The trial could not be run to its end, whatever was tried: it is no observation."""
        if self.records[number].state is State.RUNNING:
            self._tick()
            self._end(self.records[number], State.FAILED, reason)

    def _stops(self, record: TrialRecord) -> bool:
        """Whether the trial ends at the rung it has reached. A condemned one may be let run on, as an audit."""
        step = record.reports[-1].step
        if record.purpose is not Purpose.SEARCH or step >= self.plan.total_steps:
            return False
        if record.condemned_at is not None:
            return False
        noise = self.noise.get(step)
        rung = Rung(
            step=step,
            values=self._at_rung[step],
            earlier={rung: self._at_rung[rung] for rung in self.plan.rungs if rung < step},
            noise=noise.sd if noise is not None else None,
        )
        if not self.plan.stopping.stops(record.number, rung):
            return False
        runs_on = audit.runs_on(
            share=self.plan.audit_share,
            seed=self.plan.seed,
            number=record.number,
            num_condemned=self._condemned,
            num_audited=self._audited,
            num_trials=self.plan.max_trials or len(self.records),
        )
        self._condemned += 1
        if runs_on:
            self._audited += 1
            self.store.condemn(record.number, step)
            self._keep(replace(record, condemned_at=step))
        return not runs_on

    def _unaffordable(self, record: TrialRecord) -> bool:
        done = record.reports[-1].step
        following = next((rung for rung in self.plan.rungs if rung > done), None)
        if record.purpose is not Purpose.SEARCH or following is None:
            return False
        self._issued.discard(record.number)  # what it would need is asked for here
        affordable = self._affordable(following - done, reserve=True)
        self._issued.add(record.number)
        return not affordable

    @property
    def noise(self) -> Mapping[int, SeedNoise]:
        """Step -> the noise between seeds there, as far as it is measured."""
        if self._noise is None:
            self._noise = noise_at_rungs(self.records.values())
        return self._noise

    def _end(self, record: TrialRecord, state: State, reason: str | None = None) -> None:
        record = replace(record, state=state, reason=reason, end_ms=int(self.clock() * 1000))
        self.store.finish(record, self.spending.to_dict())
        self._issued.discard(record.number)
        self._steps.pop(record.number, None)
        self._told.end(record)
        self._changed(record)

    def _changed(self, record: TrialRecord) -> None:
        self._keep(record)
        self.on_change(record)

    def _keep(self, record: TrialRecord) -> None:
        if record.number not in self.records:
            self._started[record.purpose] += 1
            if record.purpose is Purpose.BASELINE and record.preset is not None:
                self._presets[record.preset] = record.number
        self.records[record.number] = record
        self._standing = None
        if record.state is State.RUNNING:
            self._running.add(record.number)
        else:
            self._running.discard(record.number)
        if record.replicate_of is not None:  # on another seed: not compared at rungs
            self._noise = None
            return
        if record.state is State.FAILED:
            self._known.remove(record.number)
        else:
            self._known.add(record.number, record.schedule)
        for report in record.reports:
            # What a condemned trial does later would make the rungs above look worse than they are.
            if record.condemned_at is None or report.step <= record.condemned_at:
                self._at_rung[report.step][record.number] = report.objective

    def _add(
        self,
        purpose: Purpose,
        schedule: NoiseSchedule,
        seed: int,
        *,
        params: Mapping[str, Any] | None = None,
        asked: Trial | None = None,
        preset: str | None = None,
        replicate_of: int | None = None,
    ) -> TrialRecord:
        attributes: dict[str, Any] = {"stage": str(purpose), "seed": seed, "schedule": schedule.to_dict()}
        if preset is not None:
            attributes["preset"] = preset
        if replicate_of is not None:
            attributes["replicate_of"] = replicate_of
        distributions: Mapping[str, Any] = {}
        if asked is not None:
            params, distributions = asked.params, asked.distributions
        elif params:
            fixed = FixedTrial(dict(params))
            self.plan.space.suggest(fixed)
            distributions = fixed.distributions
        number = self.store.add(attributes, params or {}, distributions)
        if asked is not None:
            self._told.asked(number, asked)
        else:
            self._told.add(number, params or {}, distributions)
        assert len(self._told) == number + 1, "the study is written by another program"
        self._steps[number] = 0
        return TrialRecord(
            number=number,
            purpose=purpose,
            state=State.RUNNING,
            schedule=schedule,
            seed=seed,
            params=dict(params or {}),
            preset=preset,
            replicate_of=replicate_of,
            start_ms=int(self.clock() * 1000),
        )
