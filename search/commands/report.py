"""Writes one page about a search: its answer, its pictures, its cost; to be opened in a browser, sent, printed.

examples:
  python -m search report
  python -m search report digits
  python -m search report digits --output digits.html
  python -m search report digits fashion_mnist --output both.html
  python -m search report digits --address http://127.0.0.1:8265

Without a name it is the search that was written to last. The page is one file that asks for nothing from anywhere. A
search makes it at its end, in its folder, and about once a minute while it runs. Several searches stand on one page
under one another. A search whose study is damaged is shown as far as it can be read.
"""

import argparse
import json
import sys
from pathlib import Path

from search.commands import _cluster
from search.commands._options import add_cluster, add_storage, latest

HELP = "one page with the answer, pictures and cost of a search"
ONLY_LOOKS = True

_STDOUT = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names",
        metavar="name",
        nargs="*",
        default=(),
        help="names of searches, or their search files (default: the latest)",
    )
    add_storage(parser)
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="default: report.html in the search's folder; of several, or from a cluster, here (-: to the screen)",
    )
    add_cluster(parser)


def run(args: argparse.Namespace) -> int:
    from search.errors import UsageError

    if args.output == _STDOUT and args.json:
        raise UsageError("--output - has no effect with --json: name a file")
    return _here(args) if args.address is None else _there(args)


def _here(args: argparse.Namespace) -> int:
    from search.errors import OperationFailed
    from search.running.page import found, page_file, page_text
    from search.running.search import Search

    names = args.names or [latest(args.storage)]
    searches = [Search.open(name, args.storage) for name in names]
    for search in searches:
        if not search.folder.exists():
            search.check_started()
    alone = page_file(searches[0]) if len(searches) == 1 else Path("report.html")
    output = _output(args, alone)
    pages = [found(search) for search in searches]
    _deliver(args, page_text(pages), output, [search.name for search in searches])
    problems = [one.problem for one in pages if one.problem is not None]
    if problems:
        raise OperationFailed(*problems)
    return 0


def _there(args: argparse.Namespace) -> int:
    from search.cluster.jobs import JobsApi
    from search.cluster.remote import ask

    output = _output(args, Path("report.html"))
    names = [_cluster.name_of_search(name) for name in args.names]
    command = ["report", *names, *_cluster.storage_option(args), "--output", _STDOUT]
    _deliver(args, ask(JobsApi(args.address), command), output, names)
    return 0


def _output(args: argparse.Namespace, default: Path) -> Path | None:
    """The file to write, None for the screen. InputError where it cannot be written."""
    from search.machine.output import check_file

    if args.output == _STDOUT:
        return None
    path = default if args.output is None else Path(args.output)
    check_file(path)
    return path


def _deliver(args: argparse.Namespace, text: str, output: Path | None, names: list[str]) -> None:
    from search.machine.output import write_file

    if output is None:
        sys.stdout.write(text)
        return
    write_file(output, text.encode())
    if args.json:
        print(json.dumps({"searches": names, "page": str(output.absolute())}))
    else:
        print(f"The page of {' and '.join(names) or 'the latest search'}: {output.absolute()}")
