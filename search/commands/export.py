"""Writes the winner of a search in a form that other software can load and trust.

examples:
  python -m search export digits
  python -m search export digits --output my_schedule.json
  python -m search export digits --unconfirmed
  python -m search export digits --format diffusers --nfe 2
  python -m search export digits --register schedules
  python -m search export best_schedule.json --format k-diffusion --output sigmas
  python -m search export digits --address http://127.0.0.1:8265

By default one JSON file: the schedule as options and as plain numbers (noise levels and probabilities of every
stage), the levels to sample at, the evidence (mean over fresh seeds, interval, ratio to the best literature
baseline, ties) and where it comes from. Only a schedule confirmed on fresh seeds is written; --unconfirmed
takes the best value seen where there is none yet, and the file then says "confirmed": false. Where the schedule is
known to be worse, or may be, a warning is on stderr and in what is written.

--format diffusers-pipeline writes the trained model of the winner too, where `network` was diffusers_unet. Any
other --format writes the levels to sample at in the target's own form into a folder, with a README that says
when it means the same there and which levels the target will really use. Where those are more than 1 % off
nothing is written, unless --accept-error. Levels for more than one step are found by `sampling`.

--register gives the winner's trained model another version of NAME in MLflow's registry of models, from where
`mlflow.pytorch.load_model("models:/NAME/1")` loads it.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.commands import _cluster
from search.commands._format_options import (
    add_format_options,
    flag_of,
    format_names,
    format_options,
)
from search.commands._options import add_cluster, add_name_or_latest, add_storage, named

if TYPE_CHECKING:
    from search.export_format import ExportFormat, Rendered

HELP = "write the winner as JSON, or as diffusers, k-diffusion, ... take it"
ONLY_LOOKS = True

_JSON_FILE = "best_schedule.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_name_or_latest(parser, "name of a search, its search file, or an exported .json to convert")
    add_storage(parser)
    parser.add_argument(
        "--output", metavar="PATH", help=f"default: {_JSON_FILE}, or the folder best_schedule_FORMAT"
    )
    parser.add_argument(
        "--unconfirmed", action="store_true", help="without confirmation, the best value seen"
    )
    listed = " | ".join(format_names())
    parser.add_argument("--format", metavar="FORMAT", default="json", help=f"{listed} (default: json)")
    parser.add_argument("--nfe", metavar="LIST", help="only these numbers of network evaluations, like 1,2")
    parser.add_argument(
        "--accept-error", action="store_true", help="write levels that are more than 1 %% off as well"
    )
    parser.add_argument("--register", metavar="NAME", help="the winner's model in MLflow's registry, too")
    plugin = "folder of a plugin that the schedule is of, for a file or with --address; may be repeated"
    parser.add_argument("--plugin", metavar="FOLDER", action="append", help=plugin)
    add_format_options(parser)
    add_cluster(parser)


def run(args: argparse.Namespace) -> int:
    target = _format(args)
    output = _output(args, target.title)
    if target.NEEDS_MODEL:
        _need_search_here(args, f"--format {target.title} writes")
    if args.register is not None:
        _need_search_here(args, "--register takes")
    _take_up_plugins(args)
    document = _document(args)
    rendered = target.render(document, nfe=_numbers(args.nfe), accept_error=args.accept_error)
    if args.register is not None:
        _register(args, document)  # first: where it fails, nothing else is written or printed
    if target.title == "json":
        _write_document(document, rendered, output, as_json=args.json)
    else:
        model = _model_files(args, target, document) if target.NEEDS_MODEL else {}
        _write_folder(target.title, rendered, model, output, as_json=args.json)
    for warning in rendered.warnings:
        sys.stderr.write(f"warning: {warning}\n")
    return 0


def _take_up_plugins(args: argparse.Namespace) -> None:
    if not args.plugin:
        return
    from search.errors import UsageError
    from search.file.plugins import load_plugins

    if args.address is None and not (args.name or "").endswith(".json"):
        raise UsageError(
            "--plugin has no effect on a search of this machine, which knows its own: leave it out"
        )
    load_plugins(*args.plugin)


def _output(args: argparse.Namespace, title: str) -> Path:
    """The file, or the folder, to write. InputError where it cannot be."""
    from search.machine.output import check_file, check_folder

    if title == "json":
        path = Path(_JSON_FILE if args.output is None else args.output)
        check_file(path)
    else:
        path = Path(f"best_schedule_{title.replace('-', '_')}" if args.output is None else args.output)
        check_folder(path)
    return path


def _write_document(document: Mapping[str, Any], rendered: "Rendered", path: Path, *, as_json: bool) -> None:
    from search.machine.output import write_file
    from spaces import NoiseSchedule
    from spaces.sparkline import with_density

    (text,) = rendered.files.values()
    write_file(path, text.encode())
    if as_json:
        print(json.dumps(document, indent=2, allow_nan=False))
    else:
        schedule = with_density(NoiseSchedule.from_dict(document["schedule"]))
        print(f"{schedule}\n{document['evidence']['finding']}\nWritten: {path}")


def _need_search_here(args: argparse.Namespace, takes: str) -> None:
    from search.errors import UsageError

    if args.address is not None or (args.name is not None and args.name.endswith(".json")):
        raise UsageError(
            f"{takes} the winner's model, which only the search has, where its trials are. Name a "
            "search of this machine"
        )


def _model_files(
    args: argparse.Namespace, target: "ExportFormat", document: Mapping[str, Any]
) -> dict[str, bytes]:
    """Of the model that stands for the winner."""
    from search.running.search import Search
    from search.winner.model import model_of

    search, number = Search.open(named(args), args.storage), document["provenance"]["trial"]
    (row,) = (row for row in search.board().rows if row.record.number == number)
    return target.model_files(model_of(search.spec, row))


def _register(args: argparse.Namespace, document: Mapping[str, Any]) -> None:
    """Register the model that stands for the winner.

    OperationFailed where it is not kept, or MLflow does not take it.
    """
    from search.errors import OperationFailed
    from search.running.search import Search
    from search.running.tracked import projection_of
    from search.winner.model import model_of

    search, number = Search.open(named(args), args.storage), document["provenance"]["trial"]
    (row,) = (row for row in search.board().rows if row.record.number == number)
    try:
        version = projection_of(search).register(
            row.record, lambda: model_of(search.spec, row), args.register
        )
    except OperationFailed:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise OperationFailed(f"MLflow did not register the model ({reason})") from error
    sys.stderr.write(f"note: registered as {args.register}, version {version}\n")


def _write_folder(
    title: str, rendered: "Rendered", model: Mapping[str, bytes], folder: Path, *, as_json: bool
) -> None:
    files = {**{name: text.encode() for name, text in rendered.files.items()}, **model}
    _write(folder, files)
    if as_json:
        result = {
            "format": title,
            "folder": str(folder),
            "files": sorted(files),
            "calls": rendered.calls,
            "wanted": rendered.wanted,
            "used": rendered.used,
            "relative_errors": rendered.relative_errors,
            "left_out": rendered.left_out,
            "conditions": rendered.conditions,
        }
        print(json.dumps(result, indent=2, allow_nan=False))
    else:
        print(f"{rendered.files['README.txt']}\nWritten: {folder}/ ({', '.join(sorted(files))})")


def _format(args: argparse.Namespace) -> "ExportFormat":
    """The format with its options. UsageError for a flag that would have no effect."""
    from search.errors import InputError, UsageError
    from search.export_format import FORMATS

    name = args.format.replace("_", "-")
    if name not in format_names():
        raise UsageError(f"Unknown export format {args.format!r}. Known: {', '.join(format_names())}")
    options = format_options(args, name)
    if name == "json":
        _refuse_flags_of_levels(args)
    try:
        return FORMATS[name.replace("-", "_")](**options)
    except ValueError as error:
        raise InputError(f"{', '.join(map(flag_of, options))}: {error}") from None


def _refuse_flags_of_levels(args: argparse.Namespace) -> None:
    from search.errors import UsageError

    for flag, given in (("--nfe", args.nfe), ("--accept-error", args.accept_error)):
        if given:
            raise UsageError(
                f"{flag} has no effect with --format json: the file holds all levels as they are"
            )
    if args.name is not None and args.name.endswith(".json"):
        raise UsageError(f"{args.name} is an export already: name the --format to convert it to")


def _document(args: argparse.Namespace) -> dict[str, Any]:
    """The document of a search's winner, or that of a file."""
    from search.errors import InputError, UsageError
    from search.running.search import Search
    from spaces import load_schedule

    if args.name is not None and args.name.endswith(".json"):
        if args.address is not None:
            raise UsageError("--address has no effect on a file: leave it out")
        if args.storage is not None:
            raise UsageError("--storage has no effect on a file: leave it out")
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
    return Search.open(named(args), args.storage).document(unconfirmed=args.unconfirmed)


def _document_there(args: argparse.Namespace) -> dict[str, Any]:
    """The document of a search on a cluster. What is made of it, is made here."""
    from search.cluster.jobs import JobsApi
    from search.cluster.remote import ask

    flags = ["--unconfirmed"] if args.unconfirmed else []
    names = _cluster.names_of_search(args.name)
    command = ["export", *names, *_cluster.storage_option(args), *flags, "--json"]
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


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    from search.errors import OperationFailed
    from trainable.storage.atomic import write_atomically

    try:
        for name, content in files.items():
            write_atomically(folder / name, content)
    except OSError as error:
        raise OperationFailed(f"{folder} cannot be written: {error.strerror or error}") from error
