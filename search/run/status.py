"""How searches stand, as plain values and as text.

States: "running"; "finished"; "stopped" (goes on with `resume`). With what a cluster's job list adds: "starting" (its
job is there, its driver not yet), "failed" (its job ended with an error). "unreadable": see `problem`.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search.cluster.jobs import Job
from search.errors import EXIT_INTERRUPTED, InputError, OperationFailed
from search.file.spec import load_spec
from search.machine.driver import driver_of
from search.policy.conductor import Conductor
from search.record import Purpose, State, TrialRecord
from search.run.known import SPEC_FILE
from search.run.plan_of import objective_of, plan_of
from search.run.result import Result
from search.run.session import open_store
from search.screen.live_state import best_of
from search.screen.status_text import Status
from search.screen.words import ENDED_WORDS, title_of
from spaces.sparkline import sparkline

_SEARCHED = (Purpose.BASELINE, Purpose.SEARCH, Purpose.REPLICATE)


def status_of(name: str, folder: Path, *, now: float | None = None) -> Status:
    """How the search in `folder` stands. Raises InputError for one that cannot be read.

    Hours are those of slots held by trials: of trials that have ended, and since then of those that run.
    now: seconds since 1970.
    """
    spec = load_spec(folder / SPEC_FILE)
    conductor = Conductor(plan_of(spec, 1), open_store(spec))
    records = list(conductor.records.values())
    now = time.time() if now is None else now
    with driver_of(folder) as driver:
        since = driver.since if driver is not None else None
    held = conductor.spending.trials + (0.0 if since is None else _held_now(records, since, now))
    finished = conductor.finished
    return {
        "name": name,
        "state": "running" if since is not None else "finished" if finished else "stopped",
        "folder": str(folder),
        "objective": objective_of(spec),
        "total_steps": spec.training.total_steps,
        "trials": {
            "ended": _ended(records, *_SEARCHED),
            "most": spec.budget.max_trials,
            "confirm_ended": _ended(records, Purpose.CONFIRM),
            "confirm_most": conductor.num_trials(Purpose.CONFIRM),
            "open": sum(record.state is State.RUNNING for record in records),
            **{word: sum(record.state is state for record in records) for state, word in ENDED_WORDS.items()},
        },
        "best": _best(records),
        "finding": Result.of(spec, conductor).conclusion if finished else None,
        "slot_hours": held / 3600,
        "gpu_hours": held / 3600 * spec.resources.gpu,
        "running_seconds": None if since is None else max(0.0, now - since),
        "problem": None,
    }


def statuses_of(found: Mapping[str, Path]) -> list[Status]:
    """How each of the searches stands; one that cannot be read says so and hides no other."""
    statuses = []
    for name, folder in sorted(found.items()):
        try:
            statuses.append(status_of(name, folder))
        except (InputError, OperationFailed) as error:
            first = str(error).partition("\n")[0]
            statuses.append(_bare(name, "unreadable", first) | {"folder": str(folder)})
    return statuses


def with_jobs(statuses: Sequence[Status], jobs: Mapping[str, Job]) -> list[Status]:
    """What a cluster's job list adds. jobs: name of a search -> its latest job."""
    found = {status["name"]: dict(status) for status in statuses}
    for name, job in jobs.items():
        if name not in found and job.status == "SUCCEEDED":
            continue  # it was run and then deleted
        status = found.setdefault(name, _bare(name, "starting", None))
        status["job"] = job.id
        if status["state"] not in ("starting", "stopped"):
            continue
        if not job.is_over:
            status["state"] = "starting"
        elif job.status == "FAILED" and job.exit_code != EXIT_INTERRUPTED:
            status |= {"state": "failed", "problem": job.error}
        else:
            status["state"] = "stopped"
    return [found[name] for name in sorted(found)]


def _bare(name: str, state: str, problem: str | None) -> Status:
    """A search of which nothing but this is known."""
    return {"name": name, "state": state, "problem": problem}


def _ended(records: Sequence[TrialRecord], *stages: Purpose) -> int:
    return sum(record.purpose in stages and record.state is not State.RUNNING for record in records)


def _held_now(records: Sequence[TrialRecord], since: float, now: float) -> float:
    """Seconds that trials hold their slots since what is kept was kept: at the last end of a trial."""
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
