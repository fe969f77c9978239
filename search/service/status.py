"""How searches stand, as plain values and as text.

States: "running"; "finished"; "stopped" (goes on with `resume`). With what a cluster's job list adds: "starting" (its
job is there, its driver not yet), "failed" (its job ended with an error). "unreadable": see `problem`.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search.errors import EXIT_INTERRUPTED, InputError, OperationFailed
from search.progress import best_of, seconds_text, title_of, value_text
from search.record import Stage, State, TrialRecord
from search.service.driver import driver_of
from search.service.jobs import Job
from search.service.searches import SPEC_FILE
from spaces.sparkline import sparkline

_SEARCHED = (Stage.BASELINE, Stage.SEARCH, Stage.REPLICATE)
_WORDS = {
    State.COMPLETE: "done",
    State.STOPPED: "stopped",
    State.DIVERGED: "diverged",
    State.FAILED: "failed",
}

Status = dict[str, Any]


def status_of(name: str, folder: Path, *, now: float | None = None) -> Status:
    """How the search in `folder` stands. Raises InputError for one that cannot be read.

    Hours are those of slots held by trials: of trials that have ended, and since then of those that run.
    now: seconds since 1970.
    """
    from search.conductor import Conductor
    from search.result import Result
    from search.session import objective_of, open_store, plan_of
    from search.spec import load_spec

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
            "confirm_ended": _ended(records, Stage.CONFIRM),
            "confirm_most": conductor.num_trials(Stage.CONFIRM),
            "open": sum(record.state is State.RUNNING for record in records),
            **{word: sum(record.state is state for record in records) for state, word in _WORDS.items()},
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


def table(statuses: Sequence[Status]) -> list[str]:
    """A line for each search, below a heading."""
    rows = [("search", "state", "trials", "slot-hours", "GPU-hours", "best")]
    for status in statuses:
        if "trials" not in status:
            rows.append((status["name"], status["state"], "", "", "", status["problem"] or ""))
            continue
        rows.append(
            (
                status["name"],
                status["state"],
                _progress(status["trials"]),
                _hours(status["slot_hours"]),
                _hours(status["gpu_hours"]) if status["gpu_hours"] else "-",
                status["problem"] or _best_text(status),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    right = (False, False, True, True, True)
    return [
        "  ".join(
            [
                cell.rjust(width) if to_right else cell.ljust(width)
                for cell, width, to_right in zip(row[:5], widths, right, strict=True)
            ]
            + [row[5]]
        ).rstrip()
        for row in rows
    ]


def details(status: Status) -> list[str]:
    """All that is known of one search."""
    since = status.get("running_seconds")
    lines = [f"{status['name']}: {status['state']}" + (f" for {seconds_text(since)}" if since else "")]
    if status["problem"]:
        lines.append(f"  problem  {status['problem']}")
    if "trials" in status:
        trials = status["trials"]
        still_open = "running" if status["state"] == "running" else "to go on with"
        counted = [(trials["open"], still_open), *((trials[word], word) for word in _WORDS.values())]
        lines.append(
            f"  trials   {_progress(trials)}: " + ", ".join(f"{n} {word}" for n, word in counted if n)
        )
        if trials["confirm_ended"]:
            lines.append(
                f"  confirm  {trials['confirm_ended']} of at most {trials['confirm_most']} trials on fresh seeds"
            )
        lines.append(f"  best     {_best_text(status)}")
        if status["best"]:
            density = status["best"].get("density")  # a head with an older checkout sends none
            lines.append(
                f"           {f'|{density}| ' if density is not None else ''}{status['best']['schedule']}"
            )
        gpu = f", {_hours(status['gpu_hours'])} GPU-hours" if status["gpu_hours"] else ""
        lines.append(f"  cost     {_hours(status['slot_hours'])} slot-hours{gpu}")
    if status.get("folder"):
        lines.append(f"  folder   {status['folder']}")
    if status.get("finding"):
        lines.append(f"  {status['finding']}")
    return lines


def _bare(name: str, state: str, problem: str | None) -> Status:
    """A search of which nothing but this is known."""
    return {"name": name, "state": state, "problem": problem}


def _ended(records: Sequence[TrialRecord], *stages: Stage) -> int:
    return sum(record.stage in stages and record.state is not State.RUNNING for record in records)


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


def _progress(trials: Mapping[str, Any]) -> str:
    most = trials["most"]
    return f"{trials['ended']}/{most}" if most is not None else str(trials["ended"])


def _best_text(status: Status) -> str:
    best = status["best"]
    if best is None:
        return "none yet"
    at = f" at step {best['step']} of {status['total_steps']}" if best["step"] < status["total_steps"] else ""
    return f"{status['objective']} {value_text(best['value'])}{at}, {best['title']}"


def _hours(hours: float) -> str:
    return f"{hours:.2f}" if hours < 100 else f"{hours:.0f}"
