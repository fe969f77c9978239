"""What the sampler is told: a copy of the study in memory.

Proposals from it cost no database call, and trials that are no observation of the space (confirmations, failures)
do not count. It follows from the trials of the study, so a new driver rebuilds it. A search that is extended is told of
a finalist what its confirmation came to, or it would go on after the luckiest value.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from search.algorithm import DROPPED
from search.record import Purpose, Report, State, TrialRecord, ln


class SamplerStudy:
    """Trials as the sampler sees them. rungs: the steps at which trials are measured. seed: the search's."""

    def __init__(self, rungs: Sequence[int], seed: int):
        self._rungs = rungs
        self.study = optuna.create_study(direction="minimize", sampler=optuna.samplers.RandomSampler(seed=0))
        self.study.set_user_attr("seed", seed)  # for a sampler whose proposals are one sequence
        self._ids: dict[int, int] = {}  # trial number -> id in `study`

    def __len__(self) -> int:
        return len(self._ids)

    def ask(self, sampler: BaseSampler) -> Trial:
        """A new trial, to be given its number by `asked` once it is in the study."""
        self.study.sampler = sampler
        return self.study.ask()

    def drop(self, trial: Trial) -> None:
        """`trial` was asked for and will not be run. The study itself never hears of it, nor does a new driver."""
        trial.set_user_attr(DROPPED, True)
        self.study.tell(trial, state=TrialState.FAIL)

    def asked(self, number: int, trial: Trial) -> None:
        """`trial` has been added to the study as `number`."""
        self._ids[number] = trial._trial_id

    def add(self, number: int, params: Mapping[str, Any], distributions: Mapping[str, Any]) -> None:
        """A trial that the sampler did not propose."""
        self.study.add_trial(running_trial({}, params, distributions))
        self._ids[number] = self.study.get_trials(deepcopy=False)[-1]._trial_id

    def load(
        self, trial: FrozenTrial, record: TrialRecord, confirmations: Sequence[TrialRecord] = ()
    ) -> None:
        """A trial of the study, as far as it has come, with its replicates on fresh seeds."""
        self.add(record.number, trial.params, trial.distributions)
        record = _averaged(record, confirmations)
        for report in record.reports:
            self.report(record.number, report)
        if record.state is not State.RUNNING:
            self.end(record)

    def report(self, number: int, report: Report) -> None:
        """The objective of a trial at a rung."""
        Trial(self.study, self._ids[number]).report(report.objective, report.step)

    def end(self, record: TrialRecord) -> None:
        """The final state of a trial."""
        if record.state is State.DIVERGED and record.reports:
            # At the rungs that it did not reach, too, a diverged trial is the worst.
            last = record.reports[-1]
            for step in self._rungs:
                if step > last.step:
                    self.report(record.number, replace(last, step=step))
        observed = record.purpose in (Purpose.BASELINE, Purpose.SEARCH) and record.params
        trial = Trial(self.study, self._ids[record.number])
        if not observed or record.objective is None or record.state is State.FAILED:
            self.study.tell(trial, state=TrialState.FAIL)
        elif record.state is State.STOPPED:
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, record.objective)


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


def running_trial(
    attributes: Mapping[str, Any], params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]
) -> FrozenTrial:
    """A RUNNING trial that carries what `record_of` needs."""
    return create_trial(
        state=TrialState.RUNNING,
        params=dict(params),
        distributions=dict(distributions),
        user_attrs={"trial": dict(attributes)},
    )
