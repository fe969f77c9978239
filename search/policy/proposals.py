"""What the algorithm proposes, and what it is told.

It is told through a copy of the study in memory. Proposals from that cost no database call, and trials that are no
observation of the space (confirmations, failures) do not count. It follows from the trials of the search, so a new
driver rebuilds it. An extended search tells the algorithm the mean over all seeds of a finalist: with the value that
the search saw, it would go on after the luckiest one.
"""

import math
import random
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from search.algorithm import DROPPED
from search.policy.equal_schedules import KnownSchedules
from search.policy.plan import Plan
from search.policy.trials import KeptTrial, NewTrial
from search.record import Purpose, Report, State, TrialRecord, ln
from spaces import NoiseSchedule

_MOST_ASKS = 8  # of the algorithm, which may have converged
_MOST_DRAWS = 64  # then at random; where these are known as well, the space is taken for exhausted


@dataclass(frozen=True)
class Proposal:
    """A schedule that the algorithm proposes. equal_to: the trial whose schedule trains the same, None: it is news."""

    schedule: NoiseSchedule
    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    equal_to: int | None


class Proposals:
    """Asks the algorithm for schedules that are news.

    kept: the trials that the search has already.
    """

    def __init__(self, plan: Plan, kept: Sequence[KeptTrial]):
        self._plan = plan
        self._study = SamplerStudy(plan.rungs, plan.seed)
        self._known = KnownSchedules(plan.total_steps)
        self._asked: Trial | None = None  # proposed last, and not dropped
        confirmations = _confirmations(trial.record for trial in kept)
        for trial in kept:
            self._study.load(trial, confirmations[trial.record.number])
            self.keep(trial.record)

    def draws(self, number: int) -> Iterator[Proposal]:
        """Proposals for trial `number`, one after the other, until one is taken or the space seems exhausted.

        One that equals a trained schedule is passed over, unless the search file asks to train it all the same; so is
        one that the space does not allow.
        """
        for attempt in range(_MOST_ASKS + _MOST_DRAWS):
            # The trial's number goes into the seed: a fresh sampler draws anew, a repeated one draws the same.
            key = f"{self._plan.seed}/{number}" + (f"/{attempt}" if attempt else "")
            trial = self._study.ask(self._sampler(random.Random(key).getrandbits(32), attempt))
            schedule = self._plan.space.suggest(trial)
            if not self._plan.space.allows(schedule, self._plan.total_steps):
                self._study.drop(trial)
                continue
            equal_to = None if self._plan.equal_schedules == "train" else self._known.find(schedule)
            self._asked = trial
            if equal_to is not None:
                self._study.drop(trial)
                self._asked = None
            yield self._proposal(schedule, trial, equal_to)

    def around(self, params: Mapping[str, Any], number: int) -> Proposal:
        """The schedule that the algorithm proposes with these parameters; ValueError where they give none.

        number: seed of what is left open. params: of the space, inside its ranges.
        """
        sampler = self._sampler(random.Random(f"{self._plan.seed}/{number}").getrandbits(32), 0)
        trial = self._study.ask(sampler, params)
        try:
            schedule = self._plan.space.suggest(trial)
        except ValueError:
            self._study.drop(trial)
            raise
        self._asked = trial
        return self._proposal(schedule, trial, None)

    def _proposal(self, schedule: NoiseSchedule, trial: Trial, equal_to: int | None) -> Proposal:
        drawn = self._study.drawn(trial)
        return Proposal(schedule, drawn.params, drawn.distributions, equal_to)

    def _sampler(self, seed: int, attempt: int) -> BaseSampler:
        if attempt >= _MOST_ASKS:
            return RandomSampler(seed=seed)
        return self._plan.algorithm.sampler_in(self._plan.space, self._plan.total_steps, seed)

    def started(self, number: int, trial: NewTrial) -> None:
        """`trial` is trained as `number`."""
        asked, self._asked = self._asked, None
        if trial.purpose is Purpose.SEARCH and asked is not None:
            self._study.asked(number, asked)
        else:
            self._study.add(number, trial.params, trial.distributions)

    def keep(self, record: TrialRecord) -> None:
        """The record as it is now: whether its schedule is news is told by it."""
        if record.replicate_of is not None:
            return
        if record.state is State.FAILED:
            self._known.remove(record.number)
        else:
            self._known.add(record.number, record.schedule)

    def report(self, number: int, report: Report) -> None:
        """The objective of a trial at a rung."""
        self._study.report(number, report)

    def end(self, record: TrialRecord) -> None:
        """The final state of a trial."""
        self._study.end(record)

    @property
    def told(self) -> Sequence[FrozenTrial]:
        """The trials as the algorithm sees them, by number."""
        return self._study.trials


def _confirmations(records: Iterable[TrialRecord]) -> Mapping[int, list[TrialRecord]]:
    """Trial number -> the trials that confirmed its schedule."""
    found: defaultdict[int, list[TrialRecord]] = defaultdict(list)
    for record in records:
        if record.purpose is Purpose.CONFIRM and record.state in (State.COMPLETE, State.DIVERGED):
            assert record.replicate_of is not None
            found[record.replicate_of].append(record)
    return found


class SamplerStudy:
    """Trials as the sampler sees them. rungs: the steps at which trials are measured. seed: the search's."""

    def __init__(self, rungs: Sequence[int], seed: int):
        self._rungs = rungs
        self._study = optuna.create_study(direction="minimize", sampler=optuna.samplers.RandomSampler(seed=0))
        self._study.set_user_attr("seed", seed)  # for a sampler whose proposals are one sequence
        self._ids: dict[int, int] = {}  # trial number -> id in `study`

    @property
    def trials(self) -> Sequence[FrozenTrial]:
        """By number; without those that were dropped."""
        found = {trial._trial_id: trial for trial in self._study.get_trials(deepcopy=False)}
        return [found[trial_id] for _, trial_id in sorted(self._ids.items())]

    def ask(self, sampler: BaseSampler, params: Mapping[str, Any] | None = None) -> Trial:
        """A new trial, to be given its number by `asked` once it is in the study. params: that it is to have."""
        self._study.sampler = sampler
        if params is not None:
            self._study.enqueue_trial(dict(params))
        return self._study.ask()

    def drawn(self, trial: Trial) -> FrozenTrial:
        """`trial` with what it has drawn so far; not to be changed. Of a `Trial`, Optuna copies each distribution."""
        return self._study._storage.get_trial(trial._trial_id)

    def drop(self, trial: Trial) -> None:
        """`trial` was asked for and will not be run. The study itself never hears of it, nor does a new driver."""
        trial.set_user_attr(DROPPED, True)
        self._study.tell(trial, state=TrialState.FAIL)

    def asked(self, number: int, trial: Trial) -> None:
        """`trial` has been added to the study as `number`."""
        self._ids[number] = trial._trial_id

    def add(self, number: int, params: Mapping[str, Any], distributions: Mapping[str, Any]) -> None:
        """A trial that the sampler did not propose."""
        trial = create_trial(state=TrialState.RUNNING, params=dict(params), distributions=dict(distributions))
        self._study.add_trial(trial)
        self._ids[number] = self._study.get_trials(deepcopy=False)[-1]._trial_id

    def load(self, trial: KeptTrial, confirmations: Sequence[TrialRecord]) -> None:
        """A trial that was kept, as far as it has come, with its replicates on fresh seeds."""
        self.add(trial.record.number, trial.record.params, trial.distributions)
        record = _averaged(trial.record, confirmations)
        for report in record.reports:
            self.report(record.number, report)
        if record.state is not State.RUNNING:
            self.end(record)

    def report(self, number: int, report: Report) -> None:
        """The objective of a trial at a rung."""
        self._study._storage.set_trial_intermediate_value(
            self._ids[number], report.step, float(report.objective)
        )

    def end(self, record: TrialRecord) -> None:
        """The final state of a trial."""
        if record.state is State.DIVERGED and record.reports:
            # At the rungs that it did not reach, too, a diverged trial is the worst.
            last = record.reports[-1]
            for step in self._rungs:
                if step > last.step:
                    self.report(record.number, replace(last, step=step))
        observed = record.purpose in (Purpose.BASELINE, Purpose.SEARCH) and record.params
        trial = Trial(self._study, self._ids[record.number])
        if not observed or record.objective is None or record.state is State.FAILED:
            self._study.tell(trial, state=TrialState.FAIL)
        elif record.state is State.STOPPED:
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, record.objective)


def _averaged(record: TrialRecord, confirmations: Sequence[TrialRecord]) -> TrialRecord:
    """The record with geometric means over all its seeds; a replicate that diverged early stays where it was."""
    curves = [{report.step: report.objective for report in one.reports} for one in confirmations]
    if not curves:
        return record

    def mean(report: Report) -> float:
        values = [report.objective, *(curve.get(report.step, max(curve.values())) for curve in curves)]
        return math.exp(statistics.fmean(map(ln, values)))

    return replace(
        record, reports=tuple(replace(report, objective=mean(report)) for report in record.reports)
    )
