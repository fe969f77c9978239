"""How all searches stand, here and on a cluster.

Besides the states of `status.py`: "unreadable", see `problem`. With what a cluster's job list adds: "starting" (its job
is there, its driver not yet), "failed" (its job ended with an error).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from search.errors import EXIT_STOPPED, InputError, OperationFailed
from search.running.search import Search
from search.screen.status_text import Status

if TYPE_CHECKING:
    from search.cluster.jobs import Job


def statuses_of(found: Mapping[str, Path]) -> list[Status]:
    """How each of the searches stands; one that cannot be read says so and hides no other. found: name -> folder."""
    statuses = []
    for name, folder in sorted(found.items()):
        try:
            statuses.append(Search.kept_in(folder).status())
        except (InputError, OperationFailed) as error:
            first = str(error).partition("\n")[0]
            statuses.append(_bare(name, "unreadable", first) | {"folder": str(folder)})
    return statuses


def with_jobs(statuses: Sequence[Status], jobs: Mapping[str, "Job"]) -> list[Status]:
    """What a cluster's job list adds. jobs: name of a search -> its latest job."""
    found = {status["name"]: dict(status) for status in statuses}
    for name, job in jobs.items():
        if name not in found and job.status == "SUCCEEDED":
            continue  # it was run and then deleted
        status = found.setdefault(name, _bare(name, "starting"))
        status["job"] = job.id
        if status["state"] not in ("starting", "stopped"):
            continue
        if not job.is_over:
            status["state"] = "starting"
        elif job.status == "FAILED" and job.exit_code not in EXIT_STOPPED:
            status |= {"state": "failed", "problem": job.error}
        else:
            status["state"] = "stopped"
    return [found[name] for name in sorted(found)]


def _bare(name: str, state: str, problem: str | None = None) -> Status:
    """Of a search of which nothing but this is known."""
    return {"name": name, "state": state, "problem": problem}
