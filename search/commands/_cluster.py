"""What the verbs with a cluster's `--address` do there."""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from search.commands._options import notify_of
from search.errors import EXIT_OK, InputError, OperationFailed, UsageError

if TYPE_CHECKING:
    from search.cluster.jobs import JobsApi

_STARTS = "Running entrypoint for job "


def name_of_search(name_or_file: str) -> str:
    """The name that a search has on a cluster, from it or from its search file."""
    if name_or_file.endswith((".yaml", ".yml")):
        from search.file.spec import load_spec

        return load_spec(name_or_file).name
    from search.file.messages import NAME

    if not re.fullmatch(NAME, name_or_file):
        raise InputError(f"{name_or_file!r} cannot be the name of a search")
    return name_or_file


def names_of_search(name_or_file: str | None) -> list[str]:
    """The same as arguments of a verb there; none for the latest search."""
    return [] if name_or_file is None else [name_of_search(name_or_file)]


def storage_option(args: argparse.Namespace) -> list[str]:
    """`--storage` as the head shall have it; its default differs there."""
    return [] if args.storage is None else ["--storage", args.storage]


def given(args: argparse.Namespace, *options: str) -> list[str]:
    """Those of `options` that the command line has, as it has them; one that was repeated has a list."""
    found = ((option, getattr(args, option)) for option in options)
    each = (
        (option, one) for option, value in found for one in (value if isinstance(value, list) else [value])
    )
    return [part for option, value in each if value is not None for part in (f"--{option}", str(value))]


def submit(
    args: argparse.Namespace,
    api: "JobsApi",
    name: str,
    arguments: Sequence[str],
    files: Mapping[str, bytes] | None = None,
) -> int:
    """Start `python -m search ARGUMENTS` for the search on the head and say how to watch it; returns the exit code.

    args: `wait`, `notify` and `json` are used.
    """
    from search.cluster.remote import start
    from search.machine.notice import NOTIFY_FILE

    if (address := notify_of(args)) is not None:
        files = {**(files or {}), NOTIFY_FILE: address.encode()}
        arguments = [*arguments, "--notify", NOTIFY_FILE]
    job_id = start(api, name, [*arguments, "--address", "auto"], files)
    if not args.wait:
        if args.json:
            print(json.dumps({"name": name, "job": job_id, "address": api.address}))
        else:
            print(f"Search {name} is submitted and goes on without this machine.")
            print("\n".join(_hints(name, api.address)))
        return EXIT_OK
    return _follow(args, api, name, job_id)


def resubmit(args: argparse.Namespace, verb: str, options: Sequence[str] = ()) -> int:
    """Submit `VERB NAME OPTIONS` for a search that the head knows; returns the exit code.

    args: those of `add_going_on`, `name` and `json` are used. OperationFailed while it is running.
    """
    from search.cluster.jobs import JobsApi
    from search.cluster.remote import ask

    if args.output is not None:  # a file on the head is of no use here
        raise UsageError(
            "--output has no effect with a cluster's address. When the search is over run `export --address`"
        )
    notify_of(args)  # refused before anything is asked
    api = JobsApi(args.address)
    name, storage = name_of_search(args.name), storage_option(args)
    known = json.loads(ask(api, ["status", name, *storage, "--json"]))
    if known["state"] == "running":
        raise OperationFailed(
            f"search {name!r} is running. Wait for it, or run: python -m search stop {name} --address {api.address}"
        )
    return submit(args, api, name, [verb, name, *options, *storage])


def refuse_wait(args: argparse.Namespace) -> None:
    """UsageError for `--wait` where every verb waits: on this machine."""
    if args.wait:
        raise UsageError("--wait has no effect without a cluster's address: leave it out")


def _hints(name: str, address: str) -> list[str]:
    """Command lines to go on with."""
    words = (f"watch {name}", f"logs {name} -f", f"stop {name}")
    return [f"  python -m search {each} --address {address}" for each in words]


def show_log(api: "JobsApi", job_id: str) -> None:
    """Print the job's log, as it grows, until the job is over."""
    lines = OwnLines()

    def show(piece: str) -> None:
        sys.stdout.write(lines.of(piece))
        sys.stdout.flush()

    api.follow(job_id, show)
    sys.stdout.write(lines.rest())


class OwnLines:
    """A job's log, given in pieces, without what Ray writes above it; all of it if the job did not begin."""

    def __init__(self) -> None:
        self._head = ""
        self._begun = False

    def of(self, piece: str) -> str:
        """What is to be seen of the next piece."""
        if self._begun:
            return piece
        self._head += piece
        at = self._head.find(_STARTS)
        if at < 0 or "\n" not in self._head[at:]:
            return ""
        self._begun = True
        return self._head[at:].partition("\n")[2]

    def rest(self) -> str:
        """What is to be seen after the last piece."""
        return "" if self._begun else self._head


def _follow(args: argparse.Namespace, api: "JobsApi", name: str, job_id: str) -> int:
    from search.cluster.remote import end_of, exit_code_of

    try:
        if not args.json:
            show_log(api, job_id)
        job = end_of(api, job_id)
    except KeyboardInterrupt:
        print("\nThe search goes on without this machine.", file=sys.stderr)
        print("\n".join(_hints(name, api.address)), file=sys.stderr)
        return EXIT_OK
    code = exit_code_of(job)
    if args.json:
        print(
            json.dumps(
                {"name": name, "job": job_id, "address": api.address, "status": job.status, "exit_code": code}
            )
        )
    elif job.exit_code is None and job.status == "FAILED":
        raise OperationFailed(f"search {name!r} did not start on {api.address}: {job.error}")
    return code
