"""How a search stands, as plain values.

States: "running"; "finished"; "stopped" (goes on with `resume`). What else there is, `statuses.py` says.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from search.file.spec import SearchSpec
from search.policy.agenda import Agenda
from search.record import SEARCHED, Purpose, State, TrialRecord
from search.running.foretold import left_of
from search.running.plan_of import objective_of
from search.running.result import Result
from search.screen.live_state import best_of
from search.screen.status_text import Status
from search.screen.words import ENDED_WORDS, title_of
from spaces.sparkline import sparkline


def status_of(
    spec: SearchSpec, agenda: Agenda, header: Mapping[str, Any], since: float | None, now: float
) -> Status:
    """How the search stands. header: what its study keeps besides the trials.

    since: when its driver was started, None: it has none. Times are seconds since 1970.
    """
    records = list(agenda.records.values())
    now_held = 0.0 if since is None else _held_now(records, since, now) / agenda.plan.limits.stack
    held = agenda.spending.slots + now_held
    result = Result.of(spec, agenda, header) if agenda.finished else None
    left = None if since is None else left_of(spec.folder, since, now)
    is_finished = result is not None and result.finished
    return {
        "name": spec.name,
        "state": "running" if since is not None else "finished" if is_finished else "stopped",
        "folder": str(spec.folder),
        "objective": objective_of(spec),
        "total_steps": spec.training.total_steps,
        "trials": {
            "ended": _num_ended(records, *SEARCHED),
            "most": spec.budget.max_trials,
            "confirm_ended": _num_ended(records, Purpose.CONFIRM),
            "confirm_most": agenda.num_trials(Purpose.CONFIRM),
            "shortlist_ended": _num_ended(records, Purpose.SHORTLIST),
            "shortlist_most": agenda.num_trials(Purpose.SHORTLIST),
            "hold_ended": _num_ended(records, Purpose.HOLD),
            "hold_most": agenda.num_trials(Purpose.HOLD),
            "open": sum(record.state is State.RUNNING for record in records),
            **{word: sum(record.state is state for record in records) for state, word in ENDED_WORDS.items()},
        },
        "best": _best(records),
        "finding": None if result is None else result.conclusion,
        "slot_hours": held / 3600,
        "gpu_hours": held / 3600 * spec.resources.gpu,
        "running_seconds": None if since is None else max(0.0, now - since),
        "seconds_left": None if left is None else [left[0], left[1] if math.isfinite(left[1]) else None],
        "problem": None,
    }


def _num_ended(records: Sequence[TrialRecord], *purposes: Purpose) -> int:
    return sum(record.purpose in purposes and record.state is not State.RUNNING for record in records)


def _held_now(records: Sequence[TrialRecord], since: float, now: float) -> float:
    """Seconds of trials since what is kept was kept: at the last end of a trial."""
    kept = max([since, *(record.end_ms / 1000 for record in records if record.end_ms is not None)])
    starts = [record.start_ms for record in records if record.state is State.RUNNING]
    return sum(max(0.0, now - max(kept, (start or 0) / 1000)) for start in starts)


def _best(records: Sequence[TrialRecord]) -> dict[str, Any] | None:
    best = best_of(record for record in records if record.replicate_of is None)
    if best is None or best.objective is None:
        return None
    return {
        "value": best.objective,
        "step": best.reports[-1].step,
        "trial": best.number,
        "title": title_of(best),
        "schedule": best.schedule.describe(),
        "density": sparkline(best.schedule),
    }
