"""Writes the winner of a search as JSON that other software can load and trust.

examples:
  python -m search export digits
  python -m search export digits --output my_schedule.json
  python -m search export digits --unconfirmed

The file holds the schedule as options and as plain numbers (noise levels and probabilities of every stage),
the evidence (mean over fresh seeds, interval, difference to the best literature baseline, ties) and where it
comes from. Only a schedule confirmed on fresh seeds is written; --unconfirmed takes the best value seen where
there is none yet, and the file then says "confirmed": false.
"""

import argparse
import json
from pathlib import Path

HELP = "write the winner as JSON"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of a search, or its search file")
    parser.add_argument("--storage", metavar="DIR", default="runs", help="where searches are kept (runs)")
    parser.add_argument("--output", metavar="FILE", default="best_schedule.json", help="default: %(default)s")
    parser.add_argument(
        "--unconfirmed", action="store_true", help="without confirmation, the best value seen"
    )


def run(args: argparse.Namespace) -> int:
    from search.export import export_document, write_export
    from search.session import board_of, find_spec, open_store

    spec = find_spec(args.name, args.storage)
    store = open_store(spec)
    document = export_document(board_of(spec, store.records()), store.header, unconfirmed=args.unconfirmed)
    write_export(Path(args.output), document)
    if args.json:
        print(json.dumps(document, indent=2, allow_nan=False))
    else:
        print(f"{document['describe']}\n{document['evidence']['finding']}\nWritten: {args.output}")
    return 0
