"""Which trial comes next, when it ends, when the search is over.

The whole policy of a search, with no Ray, no sleep and no threads in it: observations go in, decisions come out.
Ray Tune (`engine.py`) and the tests drive the same object. Everything it decides follows from the trials in
the study and the seed, so a new driver continues where a killed one stopped.
"""

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import optuna
from optuna.trial import FixedTrial, FrozenTrial, Trial, TrialState

from search.algorithm import Algorithm
from search.record import Report, Stage, State, TrialRecord
from search.stopping_rule import Rung, StoppingRule
from search.study import StudyStore, record_of, running_trial
from spaces import NoiseSchedule, SearchSpace

# Which baseline is best is as uncertain on one seed as which proposal is: compared to the one that looked best,
# a winner would look better than it is whenever that one was lucky.
CONFIRMED_BASELINES = 2


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that the policy needs of a search file.

    baselines: literature presets by name, run first and never stopped. max_trials: baselines and proposals of
    the algorithm together; confirmation comes on top. confirm_top, confirm_seeds: the best `confirm_top`
    finished proposals and the best two baselines are trained again on `confirm_seeds` seeds that the search did
    not use (confirm_top = 0: none). max_concurrent: open trials at any time.
    """

    space: SearchSpace
    baselines: Mapping[str, NoiseSchedule]
    algorithm: Algorithm
    stopping: StoppingRule
    total_steps: int
    max_trials: int
    confirm_top: int = 3
    confirm_seeds: int = 5
    max_concurrent: int = 1
    seed: int = 0

    @property
    def rungs(self) -> tuple[int, ...]:
        """Steps at which trials are measured; the last is the full budget."""
        return self.stopping.steps(self.total_steps)

    @property
    def confirmation_seeds(self) -> tuple[int, ...]:
        """Training seeds of the confirmation. The search itself uses `seed` for every trial, so that
        all schedules meet the same initial weights, images and noise (common random numbers)."""
        return tuple(self.seed + 1 + replicate for replicate in range(self.confirm_seeds))


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

    def __post_init__(self) -> None:
        # What the sampler is told: a copy of the study in memory, where proposals cost no database call and
        # trials that are no observation of the space (confirmations, failures) do not count.
        self._told = optuna.create_study(direction="minimize", sampler=optuna.samplers.RandomSampler(seed=0))
        self._told.set_user_attr("seed", self.plan.seed)  # for a sampler whose proposals are one sequence
        self._told_ids: dict[int, int] = {}
        # Kept with every record, because looking through all of them at each result is quadratic in a search.
        self._running: set[int] = set()
        self._started: Counter[Stage] = Counter()
        self._presets: set[str] = set()
        self._at_rung: defaultdict[int, dict[int, float]] = defaultdict(dict)  # step -> number -> objective
        for trial in self.store.load():
            record = record_of(trial)
            self._keep(record)
            self._tell_loaded(trial, record)
        self._to_adopt = sorted(self._running)
        self._undecided = set(self._to_adopt)
        self._issued: set[int] = set()

    # What comes next

    def next(self) -> TrialRecord | None:
        """The next trial to run; None if there is nothing to run now (see `finished`)."""
        if len(self._issued) >= self.plan.max_concurrent:
            return None
        record = self._adopted() or self._baseline() or self._proposal() or self._confirmation()
        if record is not None:
            self._issued.add(record.number)
            self._changed(record)
        return record

    @property
    def finished(self) -> bool:
        """Whether every trial of every stage has ended."""
        return (
            not self._running
            and not self._next_baseline()
            and not self._proposals_left()
            and self._next_confirmation() is None
        )

    def num_trials(self, stage: Stage) -> int:
        """How many trials a stage has; for the confirmation the most there can be, until its finalists are known."""
        if stage is Stage.BASELINE:
            return len(self.plan.baselines)
        if stage is Stage.SEARCH:
            return max(0, self.plan.max_trials - len(self.plan.baselines))
        searching = self._next_baseline() or self._proposals_left() > 0
        if searching or self._running_stages() - {Stage.CONFIRM}:
            top = self.plan.confirm_top
            baselines = min(CONFIRMED_BASELINES, len(self.plan.baselines))
            return (top + baselines) * self.plan.confirm_seeds if top else 0
        return len(self.finalists) * self.plan.confirm_seeds

    def _adopted(self) -> TrialRecord | None:
        return self.records[self._to_adopt.pop(0)] if self._to_adopt else None

    def _baseline(self) -> TrialRecord | None:
        name = self._next_baseline()
        if name is None:
            return None
        schedule = self.plan.baselines[name]
        params = self.plan.space.params_of(schedule) or {}
        return self._add(Stage.BASELINE, schedule, self.plan.seed, params=params, preset=name)

    def _next_baseline(self) -> str | None:
        return next((name for name in self.plan.baselines if name not in self._presets), None)

    def _proposals_left(self) -> int:
        started = self._started[Stage.BASELINE] + self._started[Stage.SEARCH]
        return max(0, self.plan.max_trials - started)

    def _proposal(self) -> TrialRecord | None:
        if not self._proposals_left():
            return None
        # The trial's number goes into the seed: a fresh sampler draws anew, a repeated one draws the same.
        seed = random.Random(f"{self.plan.seed}/{len(self.records)}").getrandbits(32)
        self._told.sampler = self.plan.algorithm.sampler(seed)
        trial = self._told.ask()
        schedule = self.plan.space.suggest(trial)
        return self._add(Stage.SEARCH, schedule, self.plan.seed, asked=trial)

    def _confirmation(self) -> TrialRecord | None:
        found = self._next_confirmation()
        if found is None:
            return None
        finalist, seed = found
        return self._add(
            Stage.CONFIRM, finalist.schedule, seed, preset=finalist.preset, replicate_of=finalist.number
        )

    def _next_confirmation(self) -> tuple[TrialRecord, int] | None:
        """The next (finalist, seed) to train. While the last trials of the search run, free slots go to
        the baselines, which are finalists whatever comes."""
        open_stages = self._running_stages()
        if Stage.BASELINE in open_stages:
            return None
        finalists = self.finalists
        if Stage.SEARCH in open_stages:
            finalists = [finalist for finalist in finalists if finalist.stage is Stage.BASELINE]
        have = {(r.replicate_of, r.seed) for r in self.records.values() if r.stage is Stage.CONFIRM}
        for seed in self.plan.confirmation_seeds:
            for finalist in finalists:
                if (finalist.number, seed) not in have:
                    return finalist, seed
        return None

    @property
    def finalists(self) -> list[TrialRecord]:
        """The trials to confirm: the best baselines and the best finished proposals."""
        if self.plan.confirm_top == 0:
            return []
        baselines = self._best(Stage.BASELINE, CONFIRMED_BASELINES)
        return baselines + self._best(Stage.SEARCH, self.plan.confirm_top)

    def _best(self, stage: Stage, count: int) -> list[TrialRecord]:
        finished = [
            record
            for record in self.records.values()
            if record.state is State.COMPLETE and record.stage is stage and record.objective is not None
        ]
        return sorted(finished, key=lambda record: (record.objective, record.number))[:count]

    def _running_stages(self) -> set[Stage]:
        return {self.records[number].stage for number in self._running}

    # What happened

    def observe(
        self,
        number: int,
        step: int,
        reports: Sequence[Report],
        outcome: str | None,
        reason: str | None = None,
    ) -> bool:
        """Take in what a trial did; True if it ends here.

        reports: all reports so far; those known already are passed over. outcome: "complete", "diverged" or
        "failed" if the trial says that it is over.
        """
        record = self.records[number]
        if record.state is not State.RUNNING:
            return True
        undecided = number in self._undecided
        self._undecided.discard(number)
        known = {report.step: report for report in record.reports}
        fresh = [report for report in reports if report.step not in known]
        for report in fresh:
            self.store.report(number, report.step, report.objective)
            self._tell_report(record, report)
        for report in reports:
            # Of a trial that runs, the study has steps and objectives only: an adopted one's worker has the rest.
            if report.step not in known or report.objective == known[report.step].objective:
                known[report.step] = report
        record = replace(record, reports=tuple(known[step] for step in sorted(known)))
        self._keep(record)
        if outcome is not None:
            self._end(record, State(outcome), reason)
        elif fresh and self._stops(record):
            self._end(record, State.STOPPED)
        elif undecided and record.reports and step == record.reports[-1].step and self._stops(record):
            # The former driver died between this report and its decision.
            self._end(record, State.STOPPED)
        elif fresh:
            self._changed(record)
        return self.records[number].state is not State.RUNNING

    def lost(self, number: int, reason: str) -> None:
        """The trial could not be run to its end, whatever was tried: it is no observation."""
        if self.records[number].state is State.RUNNING:
            self._end(self.records[number], State.FAILED, reason)

    def _stops(self, record: TrialRecord) -> bool:
        last = record.reports[-1]
        if record.stage is not Stage.SEARCH or last.step >= self.plan.total_steps:
            return False
        return self.plan.stopping.stops(record.number, Rung(step=last.step, values=self._at_rung[last.step]))

    def _end(self, record: TrialRecord, state: State, reason: str | None = None) -> None:
        record = replace(record, state=state, reason=reason, end_ms=int(self.clock() * 1000))
        self.store.finish(record)
        self._issued.discard(record.number)
        self._tell_end(record)
        self._changed(record)

    def _changed(self, record: TrialRecord) -> None:
        self._keep(record)
        self.on_change(record)

    def _keep(self, record: TrialRecord) -> None:
        if record.number not in self.records:
            self._started[record.stage] += 1
            if record.stage is Stage.BASELINE and record.preset is not None:
                self._presets.add(record.preset)
        self.records[record.number] = record
        if record.state is State.RUNNING:
            self._running.add(record.number)
        else:
            self._running.discard(record.number)
        if record.stage is not Stage.CONFIRM:  # replicates on other seeds are not compared at rungs
            for report in record.reports:
                self._at_rung[report.step][record.number] = report.objective

    def _add(
        self,
        stage: Stage,
        schedule: NoiseSchedule,
        seed: int,
        *,
        params: Mapping[str, Any] | None = None,
        asked: Trial | None = None,
        preset: str | None = None,
        replicate_of: int | None = None,
    ) -> TrialRecord:
        attributes: dict[str, Any] = {"stage": str(stage), "seed": seed, "schedule": schedule.to_dict()}
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
            told_id = asked._trial_id
        else:
            self._told.add_trial(running_trial(attributes, params or {}, distributions))
            told_id = self._told.get_trials(deepcopy=False)[-1]._trial_id
        self._told_ids[number] = told_id
        assert len(self._told_ids) == number + 1, "the study is written by another program"
        return TrialRecord(
            number=number,
            stage=stage,
            state=State.RUNNING,
            schedule=schedule,
            seed=seed,
            params=dict(params or {}),
            preset=preset,
            replicate_of=replicate_of,
            start_ms=int(self.clock() * 1000),
        )

    # What the sampler is told

    def _tell_loaded(self, trial: FrozenTrial, record: TrialRecord) -> None:
        self._told.add_trial(running_trial({}, trial.params, trial.distributions))
        self._told_ids[record.number] = self._told.get_trials(deepcopy=False)[-1]._trial_id
        for report in record.reports:
            self._tell_report(record, report)
        if record.state is not State.RUNNING:
            self._tell_end(record)

    def _tell_report(self, record: TrialRecord, report: Report) -> None:
        Trial(self._told, self._told_ids[record.number]).report(report.objective, report.step)

    def _tell_end(self, record: TrialRecord) -> None:
        if record.state is State.DIVERGED:
            # At the rungs that it did not reach, too, a diverged trial is the worst.
            reached = {report.step for report in record.reports}
            for step in self.plan.rungs:
                if step not in reached and record.reports and step > record.reports[-1].step:
                    self._tell_report(record, replace(record.reports[-1], step=step))
        observed = record.stage is not Stage.CONFIRM and record.params and record.objective is not None
        if not observed or record.state is State.FAILED:
            self._told.tell(record.number, state=TrialState.FAIL)
        elif record.state is State.STOPPED:
            self._told.tell(record.number, state=TrialState.PRUNED)
        else:
            self._told.tell(record.number, record.objective)
