"""A trial as Optuna keeps it and as the rest of the program knows it: each from the other."""

import datetime
import json
from collections.abc import Iterator
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from search.decision import Decision
from search.policy.trials import NewTrial
from search.record import Measured, Purpose, Report, State, TrialRecord
from spaces import NoiseSchedule
from trainable.task import OWN

# Optuna's state for each of ours. A diverged trial is a result: COMPLETE, with the worst value.
OPTUNA_STATE = {
    State.COMPLETE: TrialState.COMPLETE,
    State.DIVERGED: TrialState.COMPLETE,
    State.STOPPED: TrialState.PRUNED,
    State.FAILED: TrialState.FAIL,
}


def running(trial: NewTrial) -> FrozenTrial:
    """A RUNNING trial of Optuna's that carries what `record_of` needs."""
    attributes: dict[str, Any] = {
        "stage": str(trial.purpose),
        "seed": trial.seed,
        "schedule": trial.schedule.to_dict(),
        "decision": trial.decision.to_dict(),
    }
    if trial.preset is not None:
        attributes["preset"] = trial.preset
    if trial.replicate_of is not None:
        attributes["replicate_of"] = trial.replicate_of
    if trial.setting != OWN:
        attributes["setting"] = trial.setting
    return create_trial(
        state=TrialState.RUNNING,
        params=dict(trial.params),
        distributions=dict(trial.distributions),
        user_attrs={"trial": attributes},
    )


def record_of(trial: FrozenTrial, measured: Measured | None = None) -> TrialRecord:
    """The record of a trial as the database has it. measured: its samples by other measures.

    Until a trial ends, its reports are known here by step and objective only; the rest is in its checkpoint.
    """
    attributes = trial.user_attrs["trial"]
    outcome = trial.user_attrs.get("outcome") if trial.state.is_finished() else None
    start_ms = _milliseconds(trial.datetime_start)
    if outcome is not None:
        reports = tuple(Report(**report) for report in outcome["reports"])
        state = State(outcome["state"])
    else:
        reports = tuple(
            Report(step=step, objective=value, time_ms=start_ms or 0)
            for step, value in sorted(trial.intermediate_values.items())
        )
        state = State.FAILED if trial.state == TrialState.FAIL else State.RUNNING
    return TrialRecord(
        number=trial.number,
        purpose=Purpose(attributes["stage"]),
        state=state,
        schedule=NoiseSchedule.from_dict(attributes["schedule"]),
        seed=attributes["seed"],
        params=trial.params,
        preset=attributes.get("preset"),
        replicate_of=attributes.get("replicate_of"),
        setting=attributes.get("setting", OWN),
        condemned_at=trial.user_attrs.get("condemned_at"),
        micro_batch=trial.user_attrs.get("retry", {}).get("micro_batch"),
        decisions=tuple(_decisions(trial)),
        reports=reports,
        reason=outcome["reason"] if outcome else None,
        start_ms=start_ms,
        end_ms=_milliseconds(trial.datetime_complete),
        measured=measured,
    )


def _decisions(trial: FrozenTrial) -> Iterator[Decision]:
    """What was decided about a trial, as far as it was kept: version 0.2.0 and earlier kept nothing."""
    attributes = trial.user_attrs
    if "outcome" in attributes and trial.state.is_finished():
        found = attributes["outcome"].get("decisions", [])
    else:
        found = [
            attributes["trial"].get("decision"),
            attributes.get("condemned_because") if "condemned_at" in attributes else None,
            attributes.get("retry", {}).get("decision"),
        ]
    return (Decision(**plain) for plain in found if plain is not None)


def spent_by(trial: FrozenTrial) -> dict[str, Any] | None:
    """What the search had spent when this trial ended."""
    outcome = trial.user_attrs.get("outcome")
    return outcome.get("spent") if outcome and trial.state.is_finished() else None


def plain(report: Report) -> dict[str, Any]:
    return {
        "step": report.step,
        "objective": report.objective,
        "time_ms": report.time_ms,
        "metrics": dict(report.metrics),
    }


def _milliseconds(when: datetime.datetime | None) -> int | None:
    return None if when is None else int(when.timestamp() * 1000)


def canonical(value: Any) -> str:
    """JSON text that is equal for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
