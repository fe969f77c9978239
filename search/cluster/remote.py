"""Commands for the searches of a cluster, from a machine that is not in it.

A search runs as a job that goes on when this machine is switched off: `start`. Everything else is run on the head as
the command that it is, in a job of seconds, and its output comes back: `ask`.
"""

import json
import math
import re
import secrets
import shlex
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from search.cluster.jobs import Job, JobExistsError, JobsApi
from search.errors import EXIT_FAILED, EXIT_INPUT, EXIT_INTERRUPTED, EXIT_OK, InputError, OperationFailed
from search.machine.package import package_here, package_name

_POLL_SECONDS = 0.3
_MOST_SECONDS = 300.0
_ON_HEAD = "exec sh search/cluster/on_head.sh"
_VERB = "verb-"
_JOB_ID = re.compile(r"search-(.+)-run([1-9][0-9]*)")


def start(api: JobsApi, name: str, arguments: Sequence[str], files: Mapping[str, bytes] | None = None) -> str:
    """Run `python -m search ARGUMENTS` for the search `name`, for as long as it takes; returns the job's id.

    Of several that start one search at once exactly one wins: the number of the run is in the job's id, and Ray
    takes an id once. OperationFailed for the others, and while a job of that search is not over.
    """
    job_id = f"search-{name}-run{next_run(api, name)}"
    try:
        _submit(api, job_id, ["search", *arguments], files)
    except JobExistsError:
        raise _taken(api, name) from None
    return job_id


def next_run(api: JobsApi, name: str) -> int:
    """The number of the next job that runs the search. OperationFailed while one is not over."""
    runs = runs_of(api.jobs()).get(name, [])
    if runs and not runs[-1].is_over:
        raise _taken(api, name)
    return _number(runs[-1]) + 1 if runs else 1


def _taken(api: JobsApi, name: str) -> OperationFailed:
    return OperationFailed(
        f"search {name!r} is being run on {api.address} already. See: python -m search status {name} "
        f"--address {api.address}"
    )


def ask(api: JobsApi, arguments: Sequence[str], files: Mapping[str, bytes] | None = None) -> str:
    """What `python -m search ARGUMENTS` prints on the head. Its errors are raised here as they would be there.

    What it notes beside, such as which search it has taken, is said here too.
    """
    nonce = secrets.token_hex(16)
    job_id = f"{_VERB}{arguments[0]}-{nonce[:8]}"
    _submit(api, job_id, ["search.answer", nonce, *arguments], files)
    job = end_of(api, job_id, _MOST_SECONDS)
    answer = _answer(api.log(job_id), nonce)
    with suppress(OperationFailed):  # what was asked for is here
        _forget_old(api)
    if answer is None:
        raise OperationFailed(f"`{arguments[0]}` did not run on the head of {api.address}: {job.error}")
    code, out, err = answer["exit_code"], str(answer["stdout"]), str(answer["stderr"])
    if code != 0:
        lines = [line.removeprefix("error: ") for line in err.splitlines() if line.startswith("error: ")]
        problems = lines or [f"`{arguments[0]}` ended with exit code {code} on the head"]
        raise InputError(*problems) if code == EXIT_INPUT else OperationFailed(*problems)
    sys.stderr.writelines(f"{line}\n" for line in err.splitlines() if line.startswith("note: "))
    return out


def runs_of(jobs: Iterable[Job]) -> dict[str, list[Job]]:
    """Name of a search -> the jobs that ran it, in their order."""
    found: dict[str, list[Job]] = {}
    for job in jobs:
        match = _JOB_ID.fullmatch(job.id)
        if match is not None:
            found.setdefault(match[1], []).append(job)
    return {name: sorted(runs, key=_number) for name, runs in found.items()}


def latest_run(api: JobsApi, name: str) -> Job:
    """The latest job of the search; InputError where there was none."""
    runs = runs_of(api.jobs())
    if name not in runs:
        known = f"There: {', '.join(sorted(runs))}" if runs else "There is none"
        raise InputError(f"no search {name!r} was submitted to {api.address} since it was started. {known}")
    return runs[name][-1]


def exit_code_of(job: Job) -> int:
    """The exit code of a job that is over, as the command would have had it here."""
    if job.status == "SUCCEEDED":
        return EXIT_OK
    if job.status == "STOPPED":
        return EXIT_INTERRUPTED
    # None: it did not start; below zero: it was killed.
    return job.exit_code if job.exit_code is not None and job.exit_code > 0 else EXIT_FAILED


def end_of(api: JobsApi, job_id: str, most_seconds: float = math.inf) -> Job:
    """The job when it is over. OperationFailed if that takes more than `most_seconds`."""
    deadline = time.monotonic() + most_seconds
    while not (job := api.job(job_id)).is_over:
        if time.monotonic() > deadline:
            raise OperationFailed(
                f"the head of {api.address} has not ended job {job_id} after {most_seconds:.0f} s. Is it overloaded?"
            )
        time.sleep(_POLL_SECONDS)
    return job


def _submit(
    api: JobsApi,
    job_id: str,
    module_arguments: Sequence[str],
    files: Mapping[str, bytes] | None,
) -> None:
    content = package_here(files)
    name = package_name(content)
    api.ensure_package(name, content)
    api.submit(job_id, f"{_ON_HEAD} {shlex.join(module_arguments)}", name)


def _answer(log: str, nonce: str) -> dict[str, object] | None:
    for line in log.splitlines():
        if line.startswith(f"{nonce} "):
            found: dict[str, object] = json.loads(line.removeprefix(f"{nonce} "))
            return found
    return None


def _forget_old(api: JobsApi) -> None:
    """Take the jobs of earlier commands out of the cluster's list, which they would fill.

    Not before a minute has gone: Ray writes to the entry of a job for a second after its end, and another machine may
    not have read its answer yet.
    """
    ended = [job for job in api.jobs() if job.id.startswith(_VERB) and job.is_over]
    latest = max((job.end_ms or 0 for job in ended), default=0)
    for job in ended:
        if (job.end_ms or 0) < latest - 60_000:
            api.delete(job.id)


def _number(job: Job) -> int:
    match = _JOB_ID.fullmatch(job.id)
    assert match is not None
    return int(match[2])
