"""Writes the winner of a search in a form that other software can load and trust.

examples:
  python -m search export digits
  python -m search export digits --output my_schedule.json
  python -m search export digits --unconfirmed
  python -m search export digits --format diffusers --nfe 2
  python -m search export best_schedule.json --format k-diffusion --output sigmas
  python -m search export digits --address http://127.0.0.1:8265

By default one JSON file: the schedule as options and as plain numbers (noise levels and probabilities of every
stage), the levels to sample at, the evidence (mean over fresh seeds, interval, ratio to the best literature
baseline, ties) and where it comes from. Only a schedule confirmed on fresh seeds is written; --unconfirmed
takes the best value seen where there is none yet, and the file then says "confirmed": false.

Another --format writes the levels to sample at in the target's own form into a folder, with a README that says
when it means the same there and which levels the target will really use. Where those are more than 1 % off
nothing is written, unless --accept-error. Levels for more than one step are found by `sampling`.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from search.commands import _cluster
from search.commands._options import add_cluster, add_storage

HELP = "write the winner as JSON, or as diffusers, k-diffusion, ... take it"

_JSON_FILE = "best_schedule.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of a search, its search file, or an exported .json to convert")
    add_storage(parser)
    parser.add_argument(
        "--output", metavar="PATH", help=f"default: {_JSON_FILE}, or the folder best_schedule_FORMAT"
    )
    parser.add_argument(
        "--unconfirmed", action="store_true", help="without confirmation, the best value seen"
    )
    formats = (path.stem for path in (Path(__file__).parents[1] / "exports").glob("[!_]*.py"))
    listed = " | ".join(sorted(name.replace("_", "-") for name in formats))
    parser.add_argument("--format", metavar="FORMAT", default="json", help=f"{listed} (default: json)")
    parser.add_argument("--nfe", metavar="LIST", help="only these numbers of network evaluations, like 1,2")
    parser.add_argument(
        "--grid-points", type=int, metavar="N", help="size of the target's own grid (diffusers, openai-cm)"
    )
    parser.add_argument(
        "--accept-error", action="store_true", help="write levels that are more than 1 %% off as well"
    )
    add_cluster(parser)


def run(args: argparse.Namespace) -> int:
    from search.errors import InputError
    from search.export_format import FORMATS
    from search.winner.document import write_export
    from spaces import NoiseSchedule
    from spaces.sparkline import with_density

    name, options = _format(args)
    try:
        target = FORMATS[name](**options)
    except ValueError as error:
        raise InputError(f"--grid-points: {error}") from None
    document = _document(args)
    rendered = target.render(document, nfe=_numbers(args.nfe), accept_error=args.accept_error)
    if target.title == "json":
        output = Path(args.output or _JSON_FILE)
        write_export(output, document)
        if args.json:
            print(json.dumps(document, indent=2, allow_nan=False))
        else:
            schedule = with_density(NoiseSchedule.from_dict(document["schedule"]))
            print(f"{schedule}\n{document['evidence']['finding']}\nWritten: {output}")
        return 0
    output = Path(args.output or f"best_schedule_{target.title.replace('-', '_')}")
    _write(output, rendered.files)
    if args.json:
        result = {
            "format": target.title,
            "folder": str(output),
            "files": sorted(rendered.files),
            "calls": rendered.calls,
            "wanted": rendered.wanted,
            "used": rendered.used,
            "relative_errors": rendered.relative_errors,
            "left_out": rendered.left_out,
            "conditions": rendered.conditions,
        }
        print(json.dumps(result, indent=2, allow_nan=False))
    else:
        print(f"{rendered.files['README.txt']}\nWritten: {output}/ ({', '.join(sorted(rendered.files))})")
    return 0


def _format(args: argparse.Namespace) -> tuple[str, dict[str, int]]:
    """Name and options of the format. UsageError for a flag that would have no effect."""
    import dataclasses

    from search.errors import UsageError
    from search.export_format import FORMATS

    name = args.format.replace("-", "_")
    if name not in FORMATS:
        known = ", ".join(known.replace("_", "-") for known in FORMATS)
        raise UsageError(f"Unknown export format {args.format!r}. Known: {known}")
    fields = {field.name for field in dataclasses.fields(FORMATS[name])}
    if args.grid_points is not None and "grid_points" not in fields:
        raise UsageError(f"--grid-points has no effect with --format {args.format}: leave it out")
    if name == "json":
        for flag, given in (("--nfe", args.nfe), ("--accept-error", args.accept_error)):
            if given:
                raise UsageError(
                    f"{flag} has no effect with --format json: the file holds all levels as they are"
                )
        if args.name.endswith(".json"):
            raise UsageError(f"{args.name} is an export already: name the --format to convert it to")
    return name, {} if args.grid_points is None else {"grid_points": args.grid_points}


def _document(args: argparse.Namespace) -> dict[str, Any]:
    """The document of a search's winner, or that of a file."""
    from search.errors import InputError, UsageError
    from search.run.plan_of import board_of
    from search.run.result import document_of
    from search.run.session import find_spec, open_store
    from spaces import load_schedule

    if args.name.endswith(".json"):
        if args.address is not None:
            raise UsageError("--address has no effect on a file: leave it out")
        loaded = load_schedule(args.name)
        if not loaded.confirmed and not args.unconfirmed:
            raise InputError(
                f"{args.name} does not say that its schedule is confirmed on fresh seeds. Take it anyway with "
                "--unconfirmed"
            )
        document: dict[str, Any] = json.loads(Path(args.name).read_bytes())
        return document
    if args.address is not None:
        return _document_there(args)
    spec = find_spec(args.name, args.storage)
    store = open_store(spec)
    return document_of(spec, board_of(spec, store.records()), store.header, unconfirmed=args.unconfirmed)


def _document_there(args: argparse.Namespace) -> dict[str, Any]:
    """The document of a search on a cluster. What is made of it, is made here."""
    from search.cluster.jobs import JobsApi
    from search.cluster.remote import ask

    flags = ["--unconfirmed"] if args.unconfirmed else []
    name = _cluster.name_of_search(args.name)
    command = ["export", name, *_cluster.storage_option(args), *flags, "--json"]
    document: dict[str, Any] = json.loads(ask(JobsApi(args.address), command))
    return document


def _numbers(text: str | None) -> tuple[int, ...]:
    from search.errors import UsageError

    if text is None:
        return ()
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 0 < int(part) < 100 for part in parts):
        raise UsageError(f"`--nfe` is numbers like 1,2, but got {text!r}")
    return tuple(int(part) for part in parts)


def _write(folder: Path, files: Any) -> None:
    from search.errors import OperationFailed
    from trainable.storage.atomic import write_atomically

    try:
        for name, text in files.items():
            write_atomically(folder / name, text.encode())
    except OSError as error:
        raise OperationFailed(f"{folder} cannot be written: {error.strerror or error}") from error
