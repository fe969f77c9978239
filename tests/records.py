"""Trial records as tests need them: what a test does not say is plain."""

from collections.abc import Iterable
from typing import Any

from search.record import Purpose, Report, State, TrialRecord
from spaces import PRESETS, NoiseSchedule

OBJECTIVE = "fd_digits_cnn"
START_MS = 1_700_000_000_000


def record(
    number: int,
    *values: float | tuple[int, float] | Report,
    preset: str | None = None,
    schedule: NoiseSchedule | None = None,
    **fields: Any,
) -> TrialRecord:
    """A proposal on seed 0 with the preset's schedule, or iCT's; complete if it has a value, else still running.

    values: a number alone is the objective at step 100, the last one; (step, objective) is at that step.
    fields: of a `TrialRecord`.
    """
    plain: dict[str, Any] = {
        "purpose": Purpose.SEARCH,
        "state": State.COMPLETE if values else State.RUNNING,
        "schedule": schedule or PRESETS[preset or "ict"].schedule,
        "seed": 0,
        "preset": preset,
        "reports": tuple(_report(value) for value in values),
    }
    return TrialRecord(number=number, **plain | fields)


def replicates(
    of: int, values: Iterable[float], *, first: int, step: int = 100, **fields: Any
) -> list[TrialRecord]:
    """The confirmation of trial `of` on seeds 1, 2, ..., with the numbers from `first` on."""
    plain: dict[str, Any] = {"purpose": Purpose.CONFIRM, "replicate_of": of}
    return [
        record(first + i, (step, value), **plain | {"seed": i + 1} | fields) for i, value in enumerate(values)
    ]


def full_record(
    number: int = 0, state: State = State.COMPLETE, num_reports: int = 3, **fields: Any
) -> TrialRecord:
    """A trial with metrics and times, as a real one has: the objective is 100 / k + number at step 50 k."""
    reports = [
        Report(
            step=50 * k,
            objective=100.0 / k + number,
            time_ms=START_MS + 1000 * number + k - 1,
            metrics={OBJECTIVE: 100.0 / k + number, "train_loss": 0.1 / k},
        )
        for k in range(1, num_reports + 1)
    ]
    plain: dict[str, Any] = {"state": state, "seed": 7, "start_ms": START_MS}
    return record(number, *reports, **plain | fields)


def _report(value: float | tuple[int, float] | Report) -> Report:
    if isinstance(value, Report):
        return value
    step, objective = value if isinstance(value, tuple) else (100, value)
    return Report(step, objective, time_ms=0)
